"""What dpkg's database says of a package that is unpacked but not configured, so that dpkg can configure it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from invar.debian.deb import UnpackedDeb
from invar.debian.stanza import format_stanza

_NOT_INFO = ("control", "conffiles-hash")


def status_stanza(deb: UnpackedDeb) -> str:
    """The package's paragraph of /var/lib/dpkg/status: "install ok unpacked", with its conffiles' MD5s.

    With MD5s recorded and no `.dpkg-new` files about, dpkg leaves the conffiles as they were unpacked.
    """
    fields: dict[str, str] = {}
    for name, value in deb.fields.items():
        fields[name] = value
        if name == "Package":
            fields["Status"] = "install ok unpacked"
    if deb.conffiles:
        fields["Conffiles"] = "".join(f"\n {path} {md5}" for path, md5 in deb.conffiles.items())
    return format_stanza(fields)


def status(debs: Iterable[UnpackedDeb]) -> str:
    """The whole text of /var/lib/dpkg/status, by package name."""
    return "\n".join(status_stanza(deb) for deb in sorted(debs, key=lambda deb: deb.name))


def info_name(deb: UnpackedDeb) -> str:
    """The stem of the package's files in /var/lib/dpkg/info: with the architecture for `Multi-Arch: same`."""
    if deb.fields.get("Multi-Arch") == "same":
        return f"{deb.name}:{deb.architecture}"
    return deb.name


def file_list(deb: UnpackedDeb) -> str:
    """The text of the package's `.list` file: every path, in the archive's order."""
    return "".join(f"{path}\n" for path in deb.paths)


def info_files(deb: UnpackedDeb) -> dict[str, Path | str]:
    """The package's files of /var/lib/dpkg/info: name → the file in the store, or the text for `.list`.

    Mode is 0755 for maintainer scripts (as in the package) and 0644 for the rest. `/var/lib/dpkg/info/format` ("1\\n")
    is to be written once beside them.
    """
    stem = info_name(deb)
    files: dict[str, Path | str] = {f"{stem}.list": file_list(deb)}
    for path in sorted(deb.control.iterdir()):
        if path.is_file() and path.name not in _NOT_INFO:
            files[f"{stem}.{path.name}"] = path
    return files


def trigger_files(debs: Iterable[UnpackedDeb]) -> dict[str, str]:
    """The files of /var/lib/dpkg/triggers: `File` for interests in paths, one file a named trigger.

    After deb-triggers(5) and dpkg's triggers documentation: `File` has "PATH PACKAGE[/noawait]" lines, the others
    "PACKAGE[/noawait]".
    """
    files: dict[str, list[str]] = {}
    for deb in sorted(debs, key=lambda deb: deb.name):
        declared = deb.control / "triggers"
        if not declared.is_file():
            continue
        package = info_name(deb)
        for line in declared.read_text(encoding="utf-8").splitlines():
            words = line.partition("#")[0].split()
            if len(words) != 2 or not words[0].startswith("interest"):
                continue
            who = f"{package}/noawait" if words[0] == "interest-noawait" else package
            if words[1].startswith("/"):
                files.setdefault("File", []).append(f"{words[1]} {who}")
            else:
                files.setdefault(words[1], []).append(who)
    return {name: "".join(f"{line}\n" for line in lines) for name, lines in sorted(files.items())}
