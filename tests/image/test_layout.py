"""Where everything lies: aligned, in order, and in place when only the configuration changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invar.core.errors import InvarError
from invar.image.layout import GIB, MIB, VAR_MINIMUM, Layout, plan_layout

EBS_BLOCK = 512 << 10


def slots(layout: Layout) -> list[tuple[int, int]]:
    return [(slot.offset, slot.size) for slot in (layout.esp, layout.packages, layout.config, layout.var)]


@given(
    packages=st.integers(1, 20 * GIB),
    config=st.integers(1, 200 * MIB),
    size=st.one_of(st.none(), st.integers(1, 60 * 1024)),
)
def test_partitions_are_aligned_in_order_and_large_enough(packages: int, config: int, size: int | None) -> None:
    try:
        layout = plan_layout(packages_bytes=packages, config_bytes=config, size_mib=size)
    except InvarError:
        assert size is not None
        automatic = plan_layout(packages_bytes=packages, config_bytes=config, size_mib=None)
        assert size * MIB < automatic.disk_bytes
        return
    end = MIB
    for offset, length in slots(layout):
        assert offset == end
        assert offset % EBS_BLOCK == length % EBS_BLOCK == 0
        end = offset + length
    assert end + MIB == layout.disk_bytes
    assert layout.disk_bytes % GIB == 0
    assert layout.packages.size >= packages
    assert layout.config.size >= config
    assert layout.var.size >= VAR_MINIMUM


@given(st.integers(1, 64 * MIB), st.integers(1, 64 * MIB))
def test_a_changed_configuration_moves_nothing(before: int, after: int) -> None:
    packages = 280 * MIB
    first = plan_layout(packages_bytes=packages, config_bytes=before, size_mib=None)
    assert plan_layout(packages_bytes=packages, config_bytes=after, size_mib=None) == first


def test_a_small_update_of_packages_moves_nothing() -> None:
    first = plan_layout(packages_bytes=280 * MIB, config_bytes=MIB, size_mib=None)
    assert plan_layout(packages_bytes=300 * MIB, config_bytes=MIB, size_mib=None) == first


def test_a_disk_that_is_too_small_is_told_what_would_do() -> None:
    with pytest.raises(InvarError) as caught:
        plan_layout(packages_bytes=280 * MIB, config_bytes=MIB, size_mib=1024)
    assert caught.value.where == "virtualisation.diskSize"
    assert "3072 MiB" in (caught.value.hint or "")
    plan_layout(packages_bytes=280 * MIB, config_bytes=MIB, size_mib=3072)


def test_a_declared_size_is_rounded_up_to_whole_gib() -> None:
    assert plan_layout(packages_bytes=MIB, config_bytes=MIB, size_mib=5000).disk_bytes == 5 * GIB
