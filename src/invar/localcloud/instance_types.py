"""What an instance type is: processors, memory, architecture. Figures of the EC2 instance type pages."""

from __future__ import annotations

from dataclasses import dataclass

from invar.localcloud.errors import CloudError


@dataclass(frozen=True, slots=True)
class InstanceType:
    """`memory` is in MiB."""

    name: str
    cpus: int
    memory: int
    architecture: str


BURSTABLE = {
    "nano": (2, 512), "micro": (2, 1024), "small": (2, 2048), "medium": (2, 4096), "large": (2, 8192),
    "xlarge": (4, 16384), "2xlarge": (8, 32768),
}  # fmt: skip
SIZES = {"medium": 1, "large": 2, "xlarge": 4, "2xlarge": 8, "4xlarge": 16, "8xlarge": 32, "12xlarge": 48,
         "16xlarge": 64, "24xlarge": 96}  # fmt: skip
GIB_PER_CPU = {"c": 2, "m": 4, "r": 8}
FAMILIES = {
    "t2": "x86_64", "t3": "x86_64", "t3a": "x86_64", "t4g": "arm64",
    "c5": "x86_64", "c5a": "x86_64", "c6i": "x86_64", "c6a": "x86_64", "c6g": "arm64", "c7i": "x86_64", "c7g": "arm64",
    "m5": "x86_64", "m5a": "x86_64", "m6i": "x86_64", "m6a": "x86_64", "m6g": "arm64", "m7i": "x86_64", "m7g": "arm64",
    "r5": "x86_64", "r6i": "x86_64", "r6g": "arm64", "r7i": "x86_64", "r7g": "arm64",
}  # fmt: skip


def find_type(name: str) -> InstanceType:
    """The type of that name. Raises CloudError for one that is not known here."""
    family, _, size = name.partition(".")
    architecture = FAMILIES.get(family)
    if architecture is not None and family.startswith("t") and size in BURSTABLE:
        cpus, memory = BURSTABLE[size]
        return InstanceType(name, cpus, memory, architecture)
    if architecture is not None and not family.startswith("t") and size in SIZES:
        cpus = SIZES[size]
        return InstanceType(name, cpus, cpus * GIB_PER_CPU[family[0]] * 1024, architecture)
    raise CloudError("InvalidParameterValue", f"Invalid value '{name}' for InstanceType.")
