"""QEMU's qcow2, version 3 (docs/interop/qcow2.rst of QEMU): no compression, no snapshots, zero clusters left out."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

from invar.image.assemble import Image
from invar.image.formats.format import open_files
from invar.image.sparse import copy_range, used_runs, write_at
from invar.image.tools import Tools

CLUSTER_BITS = 16
CLUSTER = 1 << CLUSTER_BITS
ENTRIES = CLUSTER // 8
"""Entries of an L2 table; also of a page of the refcount table."""

REFCOUNTS = CLUSTER // 2
"""16-bit reference counts in a block."""

COPIED = 1 << 63
HEADER = struct.Struct(">4sIQIIQIIQQIIQQQQII")
HEADER_LENGTH = 104


@dataclass(frozen=True, slots=True)
class Qcow2:
    """A file for QEMU and what builds on it, which grows as it is written to."""

    name: str = "qcow2"
    aliases: tuple[str, ...] = ("qcow-efi", "qemu-efi", "openstack", "kubevirt")
    suffix: str = "qcow2"
    description: str = "disk for QEMU, libvirt, OpenStack and KubeVirt"
    is_disk: bool = True

    def write(self, image: Image, path: Path, tools: Tools) -> None:
        """Write the disk's clusters that are not zero, in their order."""
        with open_files(image.raw, path) as (source, target):
            write_qcow2(source, target)


def write_qcow2(source: int, target: int) -> None:
    """Convert the open raw file `source`, whole clusters long, into the empty open file `target`."""
    size = os.fstat(source).st_size
    runs = used_runs(source, CLUSTER)
    plan = plan_tables(size, runs)
    os.ftruncate(target, plan.clusters * CLUSTER)
    write_at(target, 0, plan.header)
    for offset, table in plan.tables:
        write_at(target, offset, table)
    at = plan.data
    for first, count in runs:
        copy_range(source, first * CLUSTER, target, at, count * CLUSTER)
        at += count * CLUSTER


@dataclass(frozen=True, slots=True)
class Plan:
    """The metadata: `tables` are (offset, bytes), `data` is where data begins, `clusters` the file's length."""

    header: bytes
    tables: list[tuple[int, bytes]]
    data: int
    clusters: int


def plan_tables(size: int, runs: list[tuple[int, int]]) -> Plan:
    """Header, tables and reference counts; behind them come the clusters of `runs` (first, number), in order."""
    guest_clusters = -(-size // CLUSTER)
    l1_entries = -(-guest_clusters // ENTRIES)
    l1_clusters = -(-l1_entries * 8 // CLUSTER)
    tables_in_use = sorted(
        {table for first, count in runs for table in range(first // ENTRIES, (first + count - 1) // ENTRIES + 1)}
    )
    data_clusters = sum(count for _, count in runs)
    fixed = 1 + l1_clusters + len(tables_in_use) + data_clusters
    refcount_blocks = 1
    while True:
        table_clusters = -(-refcount_blocks * 8 // CLUSTER)
        clusters = fixed + table_clusters + refcount_blocks
        if -(-clusters // REFCOUNTS) <= refcount_blocks:
            break
        refcount_blocks += 1

    refcount_table = 1
    refcounts = refcount_table + table_clusters
    l1 = refcounts + refcount_blocks
    l2 = l1 + l1_clusters
    data = l2 + len(tables_in_use)

    header = HEADER.pack(
        b"QFI\xfb", 3, 0, 0, CLUSTER_BITS, size, 0, l1_entries, l1 * CLUSTER, refcount_table * CLUSTER, table_clusters,
        0, 0, 0, 0, 0, 4, HEADER_LENGTH,
    )  # fmt: skip
    places = {table: l2 + index for index, table in enumerate(tables_in_use)}
    entries = {table: [0] * ENTRIES for table in tables_in_use}
    at = data
    for first, count in runs:
        for cluster in range(first, first + count):
            entries[cluster // ENTRIES][cluster % ENTRIES] = at * CLUSTER | COPIED
            at += 1
    counts = struct.pack(f">{clusters}H", *[1] * clusters)
    tables = [
        (refcount_table * CLUSTER, _words([(refcounts + index) * CLUSTER for index in range(refcount_blocks)])),
        (refcounts * CLUSTER, counts),
        (l1 * CLUSTER, _words([places[n] * CLUSTER | COPIED if n in places else 0 for n in range(l1_entries)])),
        *((places[table] * CLUSTER, _words(entries[table])) for table in tables_in_use),
    ]
    return Plan(header, tables, data * CLUSTER, clusters)


def _words(values: list[int]) -> bytes:
    return struct.pack(f">{len(values)}Q", *values)
