"""The code on an instance: all that it imports is there, nothing depends on where or when it was installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from image.test_config_layer import EPOCH, packages_layer, system
from invar.core.errors import InvarError
from invar.image.config_layer import make_config_layer
from invar.image.instance_files import CODE, CONFIGURATION, RECORD, ImageRecord, instance_files, own_code

SOURCES = {"configuration.nix": b"{ }\n"}


def record() -> ImageRecord:
    return ImageRecord(system(machine=True), packages_layer(), {"nginx": ("1.26", "ab" * 32)}, EPOCH, "web.nix")


def test_every_module_on_an_instance_imports_alone(tmp_path: Path) -> None:
    code = own_code()
    for path, content in code.items():
        place = tmp_path / "invar" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    modules = sorted(
        "invar." + path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for path in code
        if path.endswith(".py") and path != "__init__.py"
    )
    program = f"import sys, importlib; sys.path.insert(0, {str(tmp_path)!r})\n" + "".join(
        f"importlib.import_module({name!r})\n" for name in modules
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-B", "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(modules) > 60


def test_no_compiled_code_and_no_tests_go_along() -> None:
    assert {Path(path).suffix for path in own_code()} == {".py", ".nix", ".json", ".gz"}


def test_the_record_is_read_back_as_it_was() -> None:
    import json

    before = record()
    after = ImageRecord.from_data(json.loads(before.to_json()))
    assert after.to_json() == before.to_json()
    assert after.system == before.system
    assert after.version("nginx") == "1.26"
    assert after.digest("unknown") is None


def test_a_record_of_another_invar_is_refused() -> None:
    with pytest.raises(InvarError, match="schema 99"):
        ImageRecord.from_data({"schema": 99})


def test_the_files_are_in_the_layer_and_change_its_identity() -> None:
    files = instance_files(record(), SOURCES, {"__init__.py": b""})
    assert set(files) >= {f"{CODE}/invar/__init__.py", f"{CONFIGURATION}/configuration.nix", RECORD}
    assert files[RECORD].mode == 0o600
    plain = make_config_layer(record().system, packages_layer(), EPOCH, {})
    with_files = make_config_layer(record().system, packages_layer(), EPOCH, files)
    other = instance_files(record(), {"configuration.nix": b"{ }"}, {"__init__.py": b""})
    assert len({plain.key, with_files.key, make_config_layer(record().system, packages_layer(), EPOCH, other).key}) == 3
    assert with_files == make_config_layer(record().system, packages_layer(), EPOCH, files)


def test_a_secret_in_a_source_file_is_refused() -> None:
    with pytest.raises(InvarError, match="private key"):
        instance_files(record(), {"key.nix": b'"-----BEGIN OPENSSH PRIVATE KEY-----"'}, {})
