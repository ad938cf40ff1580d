"""Times uploading an image to EBS: whole and as a delta, beside a plain uploader, on the same local cloud.

    python bench/publish.py [--runs N] [--image RAW] [--size MIB] [--filled PERCENT] [--changed BLOCKS]

The plain uploader is what one writes first: 64 threads, boto3 with its own retries, every block sent, zeros too. Each
upload runs in a process of its own, so that its peak memory is its own; the cloud is emptied before each. Without
--image a sparse one of random data is made.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from invar.aws.blocks import BLOCK, find, keep, map_blocks
from invar.aws.client import Cloud
from invar.aws.snapshot_read import read_back
from invar.aws.snapshot_start import Parent, Upload
from invar.aws.snapshot_upload import upload
from invar.core.events import Report
from invar.localcloud.process import control, reset, start, stop
from invar.store.objects import Store

REGION = "us-east-1"
THREADS = 64


@dataclass(frozen=True, slots=True)
class Measured:
    """One upload, measured in its own process. `bytes` is what the cloud received in blocks."""

    seconds: float
    bytes: int
    peak_mib: float
    snapshot: str


def main() -> None:
    """Make the images, measure in turns, print the table."""
    if len(sys.argv) > 1 and sys.argv[1] == "--work":
        work(json.loads(sys.argv[2]))
        return
    options = parse()
    with tempfile.TemporaryDirectory(prefix="invar-bench-", dir=options.scratch) as scratch:
        place = Path(scratch)
        image = options.image or make_image(place / "one.raw", options.size, options.filled)
        changed = change(image, place / "two.raw", options.changed)
        rows: dict[str, list[Measured]] = {}
        record = start(place / "cloud")
        try:
            for _ in range(options.runs):
                for name, kind, delta in (
                    ("plain, 64 threads, whole", "plain", False),
                    ("invar, whole", "invar", False),
                    ("plain, 64 threads, changed image", "plain", True),
                    ("invar, changed image (delta)", "invar", True),
                ):
                    reset(place / "cloud")
                    shutil.rmtree(place / "home", ignore_errors=True)
                    told = {"url": record.url, "home": str(place / "home"), "kind": kind}
                    if delta:
                        told["parent"] = run(record, told | {"image": str(image)}).snapshot
                        told["parent_image"] = str(image)
                    target = changed if delta else image
                    rows.setdefault(name, []).append(run(record, told | {"image": str(target)}))
        finally:
            stop(place / "cloud")
        show(rows, image)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--image", type=Path, help="a raw image")
    parser.add_argument("--size", type=int, default=1024, help="MiB of the image that is made")
    parser.add_argument("--filled", type=int, default=50, help="percent of it that is not zeros")
    parser.add_argument("--changed", type=int, default=10, help="blocks that differ in the changed image")
    parser.add_argument("--scratch", type=Path, help="where to work (default: the system's temporary directory)")
    return parser.parse_args()


def make_image(path: Path, mib: int, filled: int) -> Path:
    """A sparse raw image: random data in runs of 16 blocks, zeros between."""
    chance = random.Random(1)
    blocks = mib * 1024 * 1024 // BLOCK
    with path.open("wb") as file:
        file.truncate(blocks * BLOCK)
        for first in range(0, blocks, 16):
            if chance.randrange(100) < filled:
                file.seek(first * BLOCK)
                file.write(os.urandom(min(16, blocks - first) * BLOCK))
    return path


def change(image: Path, path: Path, blocks: int) -> Path:
    """A copy of the image that differs in so many blocks."""
    subprocess.run(["cp", "--sparse=always", str(image), str(path)], check=True)
    chance = random.Random(2)
    with path.open("r+b") as file:
        for index in chance.sample(range(path.stat().st_size // BLOCK), blocks):
            file.seek(index * BLOCK)
            file.write(chance.randbytes(64))
    return path


def run(record: Any, told: dict[str, str]) -> Measured:
    """One upload in a process of its own; what the cloud counted is taken from the cloud."""
    control(record, "DELETE", "counters")
    argv = [sys.executable, str(Path(__file__).resolve()), "--work", json.dumps(told)]
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
    done = json.loads(subprocess.run(argv, env=environment, capture_output=True, text=True, check=True).stdout)
    received = control(record, "GET", "state")["counters"]["bytes"].get("PutSnapshotBlock", 0)
    return Measured(done["seconds"], received, done["peak_mib"], done["snapshot"])


def work(told: dict[str, str]) -> None:
    """In the process: upload, check by reading back, print the measurements."""
    image = Path(told["image"])
    if told["kind"] == "plain":
        began = time.monotonic()
        snapshot = plain(told["url"], image)
        seconds = time.monotonic() - began
    else:
        snapshot, seconds = ours(told, image)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    compared = read_back(Cloud(endpoint_url=told["url"]), REGION, snapshot, map_blocks(image, Report()), Report())
    if not compared.same:
        raise SystemExit(f"{snapshot} does not hold {image}: {compared}")
    print(json.dumps({"seconds": seconds, "peak_mib": peak, "snapshot": snapshot}))


def ours(told: dict[str, str], image: Path) -> tuple[str, float]:
    """Invar's upload, hashing the image included; the parent's block map comes from the store, as it would."""
    home = Path(told["home"])
    store = Store(home / "store")
    parent = None
    if "parent" in told:
        known = find(store, (home / "last").read_text())
        assert known is not None
        parent = Parent(told["parent"], known)
    began = time.monotonic()
    cloud = Cloud(endpoint_url=told["url"])
    blocks = map_blocks(image, Report())
    made = upload(cloud, Upload(image, blocks, REGION, "bench", home / "journals", parent=parent), Report())
    seconds = time.monotonic() - began
    keep(store, blocks)
    (home / "last").write_text(blocks.digest)
    return made.snapshot, seconds


def plain(url: str, image: Path) -> str:
    """The straightforward uploader."""
    config = Config(max_pool_connections=THREADS, retries={"max_attempts": 10, "mode": "standard"})
    ebs = boto3.client("ebs", region_name=REGION, endpoint_url=url, config=config)
    size = image.stat().st_size
    count = -(-size // BLOCK)
    identity = ebs.start_snapshot(VolumeSize=max(1, -(-size // (1 << 30))))["SnapshotId"]
    descriptor = os.open(image, os.O_RDONLY)

    def put(index: int) -> None:
        data = os.pread(descriptor, BLOCK, index * BLOCK).ljust(BLOCK, b"\0")
        ebs.put_snapshot_block(
            SnapshotId=identity,
            BlockIndex=index,
            BlockData=data,
            DataLength=BLOCK,
            Checksum=base64.b64encode(hashlib.sha256(data).digest()).decode(),
            ChecksumAlgorithm="SHA256",
        )

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(put, range(count)))
    os.close(descriptor)
    ebs.complete_snapshot(SnapshotId=identity, ChangedBlocksCount=count)
    ec2 = boto3.client("ec2", region_name=REGION, endpoint_url=url)
    ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[identity])
    return str(identity)


def show(rows: dict[str, list[Measured]], image: Path) -> None:
    """The table: medians; MB/s counts the image's bytes that had to get there, by the wall clock."""
    size = image.stat().st_size
    print(f"\nimage {size / 1e6:.0f} MB, {image.stat().st_blocks * 512 / 1e6:.0f} MB of it on disk\n")
    print(f"{'':36}{'seconds':>9}{'sent MB':>10}{'sent MB/s':>11}{'image MB/s':>12}{'peak MiB':>10}")
    for name, runs in rows.items():
        seconds = statistics.median(one.seconds for one in runs)
        sent = statistics.median(one.bytes for one in runs)
        peak = statistics.median(one.peak_mib for one in runs)
        rates = f"{sent / 1e6 / seconds:>11.0f}{size / 1e6 / seconds:>12.0f}"
        print(f"{name:36}{seconds:>9.2f}{sent / 1e6:>10.1f}{rates}{peak:>10.0f}")


if __name__ == "__main__":
    main()
