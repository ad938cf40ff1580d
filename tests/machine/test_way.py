"""The least that takes a machine to another system."""

from __future__ import annotations

import pytest

from invar.machine.generations import Generation, LayerRecord
from invar.machine.way import Way, parameters_of, way_to


def generation(
    packages: str = "p1", config: str = "c1", kernel: str = "k1", initrd: str = "i1", line: str = "quiet"
) -> Generation:
    layers = [LayerRecord("packages", packages, "s", 1, 1), LayerRecord("config", config, "s", 1, 1)]
    words = " ".join([line, *(layer.parameter for layer in layers)])
    return Generation(1, "d", "s", layers[0], layers[1], words, "6.12", kernel, initrd, 0, "published", "new", False)


STARTED = generation()


@pytest.mark.parametrize(
    ("target", "same_programs", "way"),
    [
        (generation(config="c2"), True, "live"),
        (generation(config="c2", line="quiet mitigations=off"), True, "live"),
        (generation(config="c2"), False, "soft-reboot"),
        (generation(packages="p2", config="c2"), False, "soft-reboot"),
        (generation(packages="p2", config="c2"), True, "soft-reboot"),
        (generation(packages="p2", line="quiet mitigations=off"), False, "reboot"),
        (generation(packages="p2", kernel="k2"), False, "reboot"),
        (generation(config="c2", initrd="i2"), True, "reboot"),
        (generation(config="c2", kernel="k2"), True, "reboot"),
    ],
)
def test_way(target: Generation, same_programs: bool, way: Way) -> None:
    assert way_to(target, STARTED, STARTED.cmdline, same_programs=same_programs) == way


def test_after_a_soft_reboot_the_kernels_own_line_counts() -> None:
    """What was started has other parameters than the running kernel once a live switch has changed them."""
    started = generation(config="c2", line="quiet mitigations=off")
    target = generation(packages="p2", config="c3", line="quiet mitigations=off")
    assert way_to(target, started, generation().cmdline, same_programs=False) == "reboot"


def test_the_words_that_name_layers_are_no_parameters() -> None:
    assert parameters_of(STARTED.cmdline) == ("quiet",)
