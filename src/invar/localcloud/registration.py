"""RegisterImage's rules: which parameters make a valid AMI, and what is wrong with the others. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from invar.localcloud.errors import CloudError

NAME = re.compile(r"[A-Za-z0-9 ()\[\]./\-'@_]{3,128}")
VOLUME_LIMITS = {
    "gp3": (1, 65536, 3000, 80000),
    "gp2": (1, 16384, None, None),
    "io1": (4, 16384, 100, 64000),
    "io2": (4, 65536, 100, 256000),
    "st1": (125, 16384, None, None),
    "sc1": (125, 16384, None, None),
    "standard": (1, 1024, None, None),
}
"""Volume type → least and most GiB, least and most IOPS (None: IOPS cannot be given)."""
GP3_THROUGHPUT = (125, 2000)
KEPT = ("BootMode", "TpmSupport", "ImdsSupport", "EnaSupport", "SriovNetSupport", "UefiData", "KernelId", "RamdiskId")


@dataclass(frozen=True, slots=True)
class Registration:
    """A valid request. `mappings` are complete BlockDeviceMapping structures."""

    name: str
    description: str
    architecture: str
    root_device: str
    virtualization: str
    mappings: list[dict[str, Any]]
    registered: dict[str, Any]


def check_name(name: str | None) -> str:
    """A valid AMI name. Raises CloudError."""
    if not name:
        raise CloudError("MissingParameter", "The request must contain the parameter name")
    if not NAME.fullmatch(name):
        raise CloudError(
            "InvalidAMIName.Malformed",
            "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, "
            "'(', ')', '.', '-', '/', '_', '@' and spaces.",
        )
    return name


def check_registration(parameters: Mapping[str, Any], volume_sizes: Mapping[str, int]) -> Registration:
    """Check a RegisterImage request. `volume_sizes` maps each usable snapshot to its GiB. Raises CloudError."""
    name = check_name(parameters.get("Name"))
    given = parameters.get("BlockDeviceMappings") or []
    if not given:
        raise CloudError("InvalidRequest", "The request received was invalid: a block device mapping is needed.")
    root = parameters.get("RootDeviceName") or "/dev/sda1"
    mappings = [_mapping(one, volume_sizes) for one in given]
    devices = [one["DeviceName"] for one in mappings]
    if len(set(devices)) != len(devices):
        raise CloudError("InvalidBlockDeviceMapping", "A device name appears twice in the block device mapping.")
    if not any(one["DeviceName"] == root and "SnapshotId" in one.get("Ebs", {}) for one in mappings):
        raise CloudError(
            "InvalidBlockDeviceMapping", f"The block device mapping has no snapshot for the root device {root}."
        )
    architecture = parameters.get("Architecture") or "i386"
    virtualization = parameters.get("VirtualizationType") or "paravirtual"
    _check_machine(parameters, architecture, virtualization)
    return Registration(
        name=name,
        description=parameters.get("Description", ""),
        architecture=architecture,
        root_device=root,
        virtualization=virtualization,
        mappings=mappings,
        registered={key: parameters[key] for key in KEPT if parameters.get(key) is not None},
    )


def _check_machine(parameters: Mapping[str, Any], architecture: str, virtualization: str) -> None:
    allowed = {
        "Architecture": (architecture, ("i386", "x86_64", "arm64", "x86_64_mac", "arm64_mac")),
        "VirtualizationType": (virtualization, ("hvm", "paravirtual")),
        "BootMode": (parameters.get("BootMode"), ("legacy-bios", "uefi", "uefi-preferred")),
        "TpmSupport": (parameters.get("TpmSupport"), ("v2.0",)),
        "ImdsSupport": (parameters.get("ImdsSupport"), ("v2.0",)),
    }
    for parameter, (value, values) in allowed.items():
        if value is not None and value not in values:
            raise CloudError("InvalidParameterValue", f"Value ({value}) for parameter {parameter} is invalid.")
    boot_mode = parameters.get("BootMode")
    if parameters.get("TpmSupport") and boot_mode != "uefi":
        raise CloudError("InvalidParameterCombination", "TpmSupport v2.0 needs the boot mode uefi.")
    if boot_mode in ("uefi", "uefi-preferred") and virtualization != "hvm":
        raise CloudError("InvalidParameterCombination", f"The boot mode {boot_mode} needs the virtualization type hvm.")
    if architecture == "arm64" and boot_mode not in (None, "uefi"):
        raise CloudError("InvalidParameterCombination", "The architecture arm64 boots in the mode uefi only.")
    if parameters.get("EnaSupport") and virtualization != "hvm":
        raise CloudError("InvalidParameterCombination", "EnaSupport needs the virtualization type hvm.")


def _mapping(given: Mapping[str, Any], volume_sizes: Mapping[str, int]) -> dict[str, Any]:
    device = given.get("DeviceName")
    if not device:
        raise CloudError("MissingParameter", "The request must contain the parameter DeviceName")
    ebs = given.get("Ebs")
    if ebs is None:
        return dict(given)
    snapshot = ebs.get("SnapshotId")
    if snapshot is not None:
        if snapshot not in volume_sizes:
            raise CloudError("InvalidSnapshot.NotFound", f"The snapshot '{snapshot}' does not exist.")
        if "Encrypted" in ebs:
            raise CloudError(
                "InvalidBlockDeviceMapping",
                f"the encrypted flag cannot be specified since device {device} has a snapshot specified.",
            )
    size = ebs.get("VolumeSize") or volume_sizes.get(snapshot or "")
    if size is None:
        raise CloudError("MissingParameter", f"The device {device} needs a snapshot or a volume size.")
    if snapshot is not None and size < volume_sizes[snapshot]:
        raise CloudError(
            "InvalidBlockDeviceMapping",
            f"Volume of size {size}GB is smaller than snapshot '{snapshot}', expect size >= {volume_sizes[snapshot]}GB",
        )
    complete = {"DeleteOnTermination": True, "VolumeType": "gp2", **ebs, "VolumeSize": size}
    _check_volume(complete)
    return {**given, "Ebs": complete}


def _check_volume(ebs: Mapping[str, Any]) -> None:
    kind, size, iops, throughput = ebs["VolumeType"], ebs["VolumeSize"], ebs.get("Iops"), ebs.get("Throughput")
    if kind not in VOLUME_LIMITS:
        raise CloudError("InvalidParameterValue", f"Value ({kind}) for parameter volumeType is invalid.")
    least, most, least_iops, most_iops = VOLUME_LIMITS[kind]
    if not least <= size <= most:
        raise CloudError(
            "InvalidParameterValue", f"Volume of {size} GiB is invalid for type {kind}: {least} to {most}."
        )
    if iops is not None:
        if least_iops is None or most_iops is None:
            raise CloudError("InvalidParameterCombination", f"The parameter iops is not supported for {kind} volumes.")
        if not least_iops <= iops <= most_iops:
            raise CloudError(
                "InvalidParameterValue", f"Iops of {iops} is invalid for {kind}: {least_iops} to {most_iops}."
            )
    elif kind in ("io1", "io2"):
        raise CloudError("MissingParameter", f"The request must contain the parameter iops for {kind} volumes.")
    if throughput is not None:
        if kind != "gp3":
            raise CloudError(
                "InvalidParameterCombination", f"The parameter throughput is not supported for {kind} volumes."
            )
        if not GP3_THROUGHPUT[0] <= throughput <= GP3_THROUGHPUT[1]:
            raise CloudError("InvalidParameterValue", f"Throughput of {throughput} MiB/s is invalid for gp3.")
