"""QEMU's command line says what a machine is, and hostile names stay what they are."""

from __future__ import annotations

import dataclasses
import re
import uuid
from itertools import pairwise

import pytest

from invar.vm.qemu import (
    Forward,
    Hardware,
    Identity,
    arguments,
    cpu_model,
    create_overlay_arguments,
)

HARDWARE = Hardware(
    name="web",
    identity=Identity.of_instance("i-0123456789abcdef0"),
    instance_type="t3.small",
    disk="disk.qcow2",
    disk_device="nvme",
    firmware_code="/firmware/code.fd",
    firmware_vars="firmware.fd",
    memory=1024,
    cpus=2,
    accelerator="tcg",
    forwards=(Forward(22), Forward(80, 8080)),
    metadata_relay=("/usr/bin/relay", "metadata.sock"),
)


def options(words: list[str], option: str) -> list[str]:
    """The values of an option that may be given several times."""
    return [value for name, value in pairwise(words) if name == option]


def test_ports_are_forwarded_on_loopback_alone() -> None:
    (network,) = options(arguments(HARDWARE, (10, 0)), "-netdev")
    assert "hostfwd=tcp:127.0.0.1:0-:22" in network
    assert "hostfwd=tcp:127.0.0.1:8080-:80" in network
    assert len(re.findall("hostfwd=", network)) == 2


def test_commas_and_spaces_in_paths_do_not_break_options() -> None:
    odd = dataclasses.replace(
        HARDWARE, firmware_code="/a,b/code.fd", disk="d,isk", metadata_relay=("/my tools/re,lay", "metadata.sock")
    )
    words = arguments(odd, (10, 0))
    assert any(value.endswith("file=/a,,b/code.fd") for value in options(words, "-drive"))
    assert any(value.endswith("file=d,,isk") for value in options(words, "-drive"))
    assert options(words, "-netdev")[0].endswith(":80-cmd:'/my tools/re,,lay' metadata.sock")


@pytest.mark.parametrize(
    ("accelerator", "version", "model"),
    [
        ("kvm", (7, 2), "host"),
        ("tcg", (7, 2), "Nehalem"),
        ("tcg", (8, 0), "max,la57=off,erms=off,fsrm=off"),
        ("tcg", (10, 0), "max,la57=off,erms=off,fsrm=off"),
    ],
)
def test_the_processor_fits_accelerator_and_version(accelerator: str, version: tuple[int, int], model: str) -> None:
    assert cpu_model("kvm" if accelerator == "kvm" else "tcg", version) == model


def test_an_identity_is_a_function_of_the_instance_id() -> None:
    first = Identity.of_instance("i-0123456789abcdef0")
    assert first == Identity.of_instance("i-0123456789abcdef0")
    assert first != Identity.of_instance("i-0123456789abcdef1")
    assert re.fullmatch(r"vol-0[0-9a-f]{16}", first.volume_id)
    assert re.fullmatch(r"02(:[0-9a-f]{2}){5}", first.mac)
    assert str(uuid.UUID(first.product_uuid)) == first.product_uuid
    assert first.product_uuid.startswith("ec2")


def test_dmi_names_the_instance() -> None:
    tables = options(arguments(HARDWARE, (10, 0)), "-smbios")
    assert any("manufacturer=Amazon EC2,asset=i-0123456789abcdef0" in table for table in tables)
    assert any(f"uuid={HARDWARE.identity.product_uuid}" in table for table in tables)


def test_a_disk_may_be_larger_than_its_image() -> None:
    assert create_overlay_arguments("disk.qcow2", "/i.raw", "raw", None)[-1] == "disk.qcow2"
    assert create_overlay_arguments("disk.qcow2", "/i.raw", "raw", 8 << 30)[-2:] == ["disk.qcow2", str(8 << 30)]
