"""The nix engine: the user's own Nix builds the image; what comes out is taken over as any other image of Invar.

A flake's output, or a configuration by `<nixpkgs/nixos>`, or an attribute of an expression. The result is a directory
(or a file) as NixOS's images are: `nix-support/image-info.json`, else `nix-support/hydra-build-products`, else the one
disk in it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invar import __version__
from invar.core.canonical import canonical_json, digest
from invar.core.errors import ExitCode, InvarError
from invar.core.events import Report
from invar.core.home import Home
from invar.engines.nix_command import Nix
from invar.flakes.place import flake_at
from invar.image.bom.nix import NixSubject, cyclonedx_document, spdx_document
from invar.image.closure import CLOSURE_FILE, StorePath, encode_closure, store_name
from invar.image.disk_reader import kind_of, write_raw
from invar.image.documents import CYCLONEDX_FILE, SPDX_FILE
from invar.image.info import INFO_FILE
from invar.nix.input_urls import format_input
from invar.store.objects import Store

if TYPE_CHECKING:
    from invar.aws.images import BootMode

ARCHITECTURES = {"x86_64-linux": "amd64", "aarch64-linux": "arm64"}
KIND = "nix-image"
IMAGES = "image-nix"
"""The store's kind: an image's documents, and a link to its disk."""
LAST_BUILD = "last-build-nix"
"""The kind of the store's records of which image was built last, by what was named."""
DISKS = (".raw", ".img", ".qcow2", ".vhd")
ATTRIBUTES = ("config.system.build.images.amazon", "config.system.build.amazonImage")
"""Where a NixOS configuration has its EC2 image, newest first."""

_DESCRIBE = """x:
let
  system = c: builtins.unsafeDiscardStringContext c.config.system.build.toplevel.outPath;
  build = x.config.system.build or { };
in
if (x.type or "") == "derivation" then {
  attribute = "";
  toplevel = if x ? passthru.config then system x.passthru else if x ? config then system x else "";
  system = x.system or "";
} else if build ? images && build.images ? amazon then {
  attribute = "config.system.build.images.amazon"; toplevel = system x; system = build.images.amazon.system or "";
} else if build ? amazonImage then {
  attribute = "config.system.build.amazonImage"; toplevel = system x; system = build.amazonImage.system or "";
} else { attribute = null; toplevel = ""; system = ""; }
"""


@dataclass(frozen=True, slots=True)
class NixImage:
    """An image that Nix built: `output` is the store path, `raw` the disk, `toplevel` the NixOS system if known.

    `closure` is everything that the system (or, without one, the image) refers to.
    """

    raw: Path
    name: str
    architecture: str
    output: str
    output_hash: str
    derivation: str
    toplevel: str | None
    closure: tuple[StorePath, ...]
    info: Mapping[str, Any]
    lock_digest: str | None = None

    @property
    def content_key(self) -> str:
        """The output's path and hash, and what it is said to be: two builds that differ in anything have two."""
        return digest({**self._identity(), "hash": self.output_hash})

    @property
    def system_digest(self) -> str:
        """SHA-256 over the output's hash and the hashes of the closure."""
        return digest({"closure": {one.path: one.nar_hash for one in self.closure}, "image": self.output_hash})

    @property
    def spec_digest(self) -> str:
        """SHA-256 of the derivation's path, which is a hash of all that the build may depend on."""
        return hashlib.sha256(self.derivation.encode()).hexdigest()

    @property
    def boot_mode(self) -> BootMode:
        """As image-info.json has it; "uefi" where it says nothing, or something that EC2 does not know."""
        said = self.info.get("boot_mode")
        return said if said in ("legacy-bios", "uefi-preferred") else "uefi"

    def documents(self) -> dict[str, bytes]:
        """image-info.json with NixOS's fields and Invar's, the closure, and bills of materials."""
        info = {
            **self.info,
            **self._identity(),
            "schema": 1,
            "engine": "nix",
            "format": "amazon",
            "file": self.raw.name,
            "logical_bytes": str(self.raw.stat().st_size),
        }
        subject = NixSubject(self.name, self.system_digest, self.spec_digest, self.toplevel, self.output, __version__)
        return {
            INFO_FILE: canonical_json(info) + b"\n",
            CLOSURE_FILE: encode_closure(self.closure),
            SPDX_FILE: spdx_document(subject, self.closure),
            CYCLONEDX_FILE: cyclonedx_document(subject, self.closure),
        }

    def _identity(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "architecture": self.architecture,
            "boot_mode": self.boot_mode,
            "system_digest": self.system_digest,
            "spec_digest": self.spec_digest,
            "toplevel": self.toplevel,
            "derivation": self.derivation,
            "output": self.output,
        }


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What to build: a flake's installable, or a file and an attribute of it."""

    build: tuple[str, ...]
    name: str
    toplevel: str | None
    system: str


class NixEngine:
    """Builds through the user's own Nix, with its caches and remote builders."""

    def __init__(
        self,
        home: Home,
        store: Store,
        report: Report,
        *,
        environment: Mapping[str, str],
        offline: bool = False,
        impure: bool = False,
        override_inputs: Mapping[str, str] | None = None,
    ) -> None:
        self._home = home
        self._store = store
        self._report = report
        self._nix = Nix.find(environment, report, ("--offline",) if offline else ())
        overrides = [part for name, url in (override_inputs or {}).items() for part in ("--override-input", name, url)]
        self._flake_options = (*(["--impure"] if impure else []), *overrides)

    def image(self, place: str, attribute: str | None = None, *, remember: bool = True) -> NixImage:
        """Build what `place` names and take it over. `attribute` is of a plain .nix file. Raises InvarError.

        With `remember` Nix's garbage collector leaves it alone, and it is what `last_build` gives from then on.
        """
        reference, _, fragment = place.partition("#")
        flake = flake_at(reference)
        if attribute is None and flake is not None:
            wanted = self._of_flake(format_input(flake), fragment)
        else:
            wanted = self._of_file(Path(reference or "."), attribute)
        derivation, output = self._built(wanted, keep=remember)
        paths = self._closure(output)
        toplevel = wanted.toplevel or next(
            (one.path for one in paths if store_name(one.path).startswith("nixos-system-")), None
        )
        own = next(one for one in paths if one.path == output)
        closure = self._closure(toplevel) if toplevel is not None else paths
        info, disk = find_disk(Path(output))
        image = NixImage(
            raw=self._raw(disk, output, own.nar_hash),
            name=wanted.name,
            architecture=ARCHITECTURES.get(wanted.system or str(info.get("system", "")), "amd64"),
            output=output,
            output_hash=own.nar_hash,
            derivation=derivation,
            toplevel=toplevel,
            closure=tuple(one for one in closure if toplevel is not None or one.path != output),
            info=info,
        )
        directory = self.directory(image)
        if remember:
            self._store.put_record(LAST_BUILD, _place_key(place, attribute), {"directory": str(directory)})
        return image

    def directory(self, image: NixImage) -> Path:
        """Where the image's documents lie in Invar's store, beside a link to its disk: made if it is not there yet."""
        with self._store.creating(IMAGES, image.content_key) as temporary:
            if temporary is not None:
                temporary.mkdir()
                for name, content in image.documents().items():
                    (temporary / name).write_bytes(content)
                (temporary / image.raw.name).symlink_to(image.raw)
        return self._store.path(IMAGES, image.content_key)

    def last_build(self, place: str, attribute: str | None = None) -> Path | None:
        """The directory of what was built last of a place, if it is still in the store."""
        known = self._store.find_record(LAST_BUILD, _place_key(place, attribute))
        directory = Path(known["directory"]) if known else None
        return directory if directory is not None and directory.is_dir() else None

    def _of_flake(self, url: str, fragment: str) -> _Wanted:
        installable = f"{url}#{fragment}"
        try:
            found = self._describe(installable)
        except InvarError as error:
            if not fragment or fragment.startswith(".") or "does not provide attribute" not in error.what:
                raise
            installable = f"{url}#nixosConfigurations.{fragment}"
            try:
                found = self._describe(installable)
            except InvarError:
                raise error from None
        attribute = found["attribute"]
        if attribute is None:
            raise InvarError(
                f"{installable} is neither a derivation nor a NixOS configuration with an EC2 image",
                why=f"it has none of {', '.join(ATTRIBUTES)}",
                hint="import ${modulesPath}/virtualisation/amazon-image.nix, or name the image itself",
                exit_code=ExitCode.USAGE,
            )
        full = f"{installable}.{attribute}" if attribute else installable
        build = ("nix", "build", full, *self._flake_options)
        last = (fragment or "default").rpartition(".")[2]
        name = fragment.split(".")[1] if fragment.startswith("nixosConfigurations.") else last
        return _Wanted(build, name, found["toplevel"] or None, found["system"])

    def _describe(self, installable: str) -> dict[str, Any]:
        found = self._nix.json("eval", installable, "--apply", _DESCRIBE, *self._flake_options, stage="nix evaluate")
        assert isinstance(found, dict)
        return found

    def _of_file(self, place: Path, attribute: str | None) -> _Wanted:
        path = place.expanduser().absolute()
        file = path / "configuration.nix" if path.is_dir() and attribute is None else path
        if not file.exists():
            raise InvarError(
                f"there is no configuration at {place}",
                hint="name a flake (DIR#NAME), a configuration.nix, or a .nix file with --attr NAME",
                exit_code=ExitCode.USAGE,
            )
        name = (file.stem if file.stem not in ("default", "configuration") else file.parent.name) or "image"
        if attribute is not None:
            return _Wanted(("nix-build", str(file), "-A", attribute), name, None, "")
        base = ("<nixpkgs/nixos>", "--arg", "configuration", str(file))
        for known in ATTRIBUTES:
            try:
                self._nix.run("nix-instantiate", *base, "-A", known, *self._nix.options, stage="nix evaluate")
            except InvarError as error:
                if known != ATTRIBUTES[-1] and "attribute" in error.what and "not found" in error.what:
                    continue
                raise
            return _Wanted(("nix-build", *base, "-A", known), name, None, "")
        raise AssertionError("one of the attributes is built, or the last one's error raised")

    def _built(self, wanted: _Wanted, *, keep: bool) -> tuple[str, str]:
        """Build; the derivation and the output, which, to `keep` it, the garbage collector leaves alone from now on."""
        root = self._home.root / "nix-roots" / hashlib.sha256("\0".join(wanted.build).encode()).hexdigest()[:32]
        root.parent.mkdir(parents=True, exist_ok=True)
        program, *arguments = wanted.build
        if program == "nix":
            built = self._nix.json(
                *arguments, *(["--out-link", str(root)] if keep else ["--no-link"]), stage="nix build"
            )
            derivation = str(built[0]["drvPath"])
            outputs = {name: str(path) for name, path in built[0]["outputs"].items()}
            return derivation, outputs.get("out") or next(iter(outputs.values()))
        text = self._nix.run(
            program,
            *arguments,
            *(["--out-link", str(root)] if keep else ["--no-out-link"]),
            *self._nix.options,
            stage="nix build",
        )
        output = text.strip().splitlines()[-1]
        query = self._nix.run("nix-store", "--query", "--deriver", output, stage="nix query")
        return query.strip(), output

    def _closure(self, path: str) -> tuple[StorePath, ...]:
        found = self._nix.json("path-info", "--recursive", path, stage="nix query")
        entries = [{"path": key, **value} for key, value in found.items()] if isinstance(found, dict) else found
        return tuple(
            sorted(
                (
                    StorePath(
                        str(one["path"]),
                        str(one["narHash"]),
                        int(one.get("narSize", 0)),
                        tuple(sorted(str(other) for other in one.get("references", ()) if other != one["path"])),
                    )
                    for one in entries
                ),
                key=lambda one: one.path,
            )
        )

    def _raw(self, disk: Path, output: str, nar_hash: str) -> Path:
        """The disk as raw blocks: Nix's own file where it is that already, else converted once, sparse."""
        if kind_of(disk) == "raw":
            return disk
        key = digest({"disk": str(disk), "hash": nar_hash, "output": output})
        with self._report.stage("to raw") as stage, self._store.creating(KIND, key) as temporary:
            stage.cached = temporary is None
            if temporary is not None:
                temporary.mkdir()
                write_raw(disk, temporary / f"{disk.stem}.raw")
        return self._store.path(KIND, key) / f"{disk.stem}.raw"


def _place_key(place: str, attribute: str | None) -> str:
    reference, _, fragment = place.partition("#")
    flake = flake_at(reference)
    where = str(Path(reference or ".").absolute()) if flake is None else format_input(flake)
    return digest([where, fragment, attribute])


def find_disk(output: Path) -> tuple[dict[str, Any], Path]:
    """What an image's output says of itself ({} if nothing), and its disk. Raises InvarError when there is none."""
    if output.is_file():
        return {}, output
    info: dict[str, Any] = {}
    described = output / "nix-support" / "image-info.json"
    if described.is_file():
        try:
            info = json.loads(described.read_text())
            disks = info.get("disks") or {}
            named = info.get("file") or (disks.get("root") or {}).get("file")
        except (ValueError, AttributeError) as error:
            raise InvarError(f"{described} is not what NixOS writes", why=str(error)) from error
        if named:
            return info, _existing(output, str(named), described)
    products = output / "nix-support" / "hydra-build-products"
    if products.is_file():
        for line in products.read_text().splitlines():
            words = line.split()
            if len(words) >= 3 and words[0] == "file":
                return info, _existing(output, words[2].strip('"'), products)
    found = sorted(path for path in output.rglob("*") if path.suffix in DISKS and path.is_file())
    if len(found) == 1:
        return info, found[0]
    listed = ", ".join(path.name for path in found) or ", ".join(sorted(os.listdir(output))[:10])  # noqa: PTH208
    raise InvarError(
        f"{output} is no disk image",
        why=f"it has no nix-support/image-info.json, and {'several disks' if found else 'no disk'}: {listed}",
        hint="name an image: packages.SYSTEM.amazonImage, or a nixosConfiguration with the amazon image's module",
    )


def _existing(output: Path, named: str, where: Path) -> Path:
    place = Path(named) if named.startswith("/") else output / named
    if not place.is_file():
        raise InvarError(f"{where} names {named}, which is not there")
    return place
