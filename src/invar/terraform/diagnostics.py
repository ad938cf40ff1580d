"""What Terraform shows of a fault: a summary, a detail, and the attribute that it points at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from invar.core.errors import InvarError
from invar.terraform.messages import ERROR, WARNING


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """`attribute` is a path: attribute names, keys of maps (str) and indices of lists (int). `detail` ends no line."""

    summary: str
    detail: str = ""
    attribute: tuple[str | int, ...] = ()
    warning: bool = False

    def message(self) -> dict[str, Any]:
        """The protocol's Diagnostic."""
        message: dict[str, Any] = {
            "severity": WARNING if self.warning else ERROR,
            "summary": self.summary,
            "detail": self.detail,
        }
        if self.attribute:
            message["attribute"] = attribute_path(self.attribute)
        return message


class Refused(Exception):
    """Carries diagnostics out of a resource's work."""

    def __init__(self, *diagnostics: Diagnostic) -> None:
        super().__init__("; ".join(each.summary for each in diagnostics))
        self.diagnostics = diagnostics


def attribute_path(path: tuple[str | int, ...]) -> dict[str, Any]:
    """The protocol's AttributePath: the first step is an attribute's name, later ones are keys or indices."""
    steps: list[dict[str, Any]] = [{"attribute_name": str(path[0])}]
    for step in path[1:]:
        steps.append({"element_key_string": step} if isinstance(step, str) else {"element_key_int": step})
    return {"steps": steps}


def of_error(error: InvarError, attribute: tuple[str | int, ...] = (), log: str | None = None) -> Diagnostic:
    """An error of Invar's as Terraform shows it. `log` is the file that has the whole story."""
    lines = [f"at {error.where}"] if error.where else []
    lines += error.why.splitlines() if error.why else []
    lines += [f"hint: {error.hint}"] if error.hint else []
    lines += [f"log: {log}"] if log else []
    summary = error.what[:1].upper() + error.what[1:]
    return Diagnostic(summary, "\n".join(lines), attribute)
