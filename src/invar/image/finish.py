"""What maintainer scripts would have done here and there, done once, in one order: certificates and byte code."""

from __future__ import annotations

from collections.abc import Mapping

from invar.debian.deb import UnpackedDeb
from invar.image.configure import script_environment
from invar.sandbox.session import Session
from invar.sandbox.spec import Command

_SECONDS = 600.0
_CERTIFICATES = "update-ca-certificates >/dev/null"
_BYTE_CODE = "python3 -m compileall -q -j1 --invalidation-mode unchecked-hash /usr/lib/python3/dist-packages"


def finish(session: Session, debs: Mapping[str, UnpackedDeb], epoch: int) -> None:
    """Complete a configured root without the shims. Raises InvarError with the last words of what failed."""
    script = finishing_script(debs)
    if script:
        session.run(Command(("sh", "-ec", script), environment=script_environment(epoch), timeout=_SECONDS))


def finishing_script(debs: Mapping[str, UnpackedDeb]) -> str:
    """Certificates and byte code at the same time.

    Byte code is written by one process: compiled in parallel, it differs between runs. At run time it is not checked
    against its source, for neither can change in a read-only image.
    """
    tasks = []
    if "ca-certificates" in debs:
        tasks.append(_CERTIFICATES)
    if "python3" in debs and any("/usr/lib/python3/dist-packages" in deb.paths for deb in debs.values()):
        tasks.append(_BYTE_CODE)
    if not tasks:
        return ""
    started = [f"{task} & p{number}=$!" for number, task in enumerate(tasks)]
    return "\n".join([*started, *(f"wait $p{number}" for number in range(len(tasks)))])
