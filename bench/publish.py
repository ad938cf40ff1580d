"""Times uploading an image to EBS, whole and as a delta, and publishing it to 20 regions, beside a plain uploader.

    python bench/publish.py [--runs N] [--image RAW] [--size MIB] [--filled PERCENT] [--changed BLOCKS] [--large MIB]

The plain uploader is what one writes first: 64 threads, boto3 with its own retries, every block sent, zeros too; to
publish, it registers, begins a copy in each region, and waits for each. Both run against the same local cloud, whose
copies take --copy-seconds each. Every measurement runs in a process of its own, so that its peak memory is its own;
the cloud is emptied before each. Without --image a sparse one of random data is made. --large is the size of a second
image, uploaded once to see that memory does not follow the size; 0 leaves it out.
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
from invar.fleet.publish import Artifact, Destination, publish
from invar.fleet.tags import Identity
from invar.localcloud.process import control, reset, start, stop
from invar.store.objects import Store

REGION = "us-east-1"
REGIONS = [
    "us-east-1", "us-east-2", "us-west-1", "us-west-2", "ca-central-1", "sa-east-1", "eu-west-1", "eu-west-2",
    "eu-west-3", "eu-central-1", "eu-north-1", "eu-south-1", "af-south-1", "me-south-1", "ap-south-1", "ap-east-1",
    "ap-southeast-1", "ap-southeast-2", "ap-northeast-1", "ap-northeast-2",
]  # fmt: skip
THREADS = 64


@dataclass(frozen=True, slots=True)
class Measured:
    """One run, measured in its own process. `bytes` is what the cloud received in blocks, `size` the image's bytes."""

    seconds: float
    bytes: int
    peak_mib: float
    snapshot: str
    size: int


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
                    ("plain, to 20 regions", "plain-publish", False),
                    ("invar, to 20 regions", "invar-publish", False),
                    ("plain, changed image, to 20 regions", "plain-publish", True),
                    ("invar, changed image, to 20 regions", "invar-publish", True),
                ):
                    told = begin(place, record, kind, options.copy_seconds)
                    if delta:
                        told["parent"] = run(record, told | {"image": str(image)}).snapshot
                    target = changed if delta else image
                    rows.setdefault(name, []).append(run(record, told | {"image": str(target)}))
            if options.large:
                large = make_image(place / "large.raw", options.large, options.filled)
                told = begin(place, record, "invar", options.copy_seconds)
                rows[f"invar, whole, {options.large} MiB"] = [run(record, told | {"image": str(large)})]
        finally:
            stop(place / "cloud")
        show(rows, image)


def begin(place: Path, record: Any, kind: str, copy_seconds: float) -> dict[str, str]:
    """An empty cloud and home, and what a measurement is told."""
    reset(place / "cloud")
    control(record, "POST", "settings", {"copy_seconds": copy_seconds})
    shutil.rmtree(place / "home", ignore_errors=True)
    return {"url": record.url, "home": str(place / "home"), "kind": kind}


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--image", type=Path, help="a raw image")
    parser.add_argument("--size", type=int, default=1024, help="MiB of the image that is made")
    parser.add_argument("--filled", type=int, default=50, help="percent of it that is not zeros")
    parser.add_argument("--changed", type=int, default=10, help="blocks that differ in the changed image")
    parser.add_argument("--large", type=int, default=4096, help="MiB of the image for memory; 0: none")
    parser.add_argument("--copy-seconds", type=float, default=2.0, help="how long a copy to a region takes")
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
    return Measured(done["seconds"], received, done["peak_mib"], done["snapshot"], Path(told["image"]).stat().st_size)


def work(told: dict[str, str]) -> None:
    """In the process: upload, check by reading back, print the measurements."""
    image = Path(told["image"])
    began = time.monotonic()
    if told["kind"] == "plain":
        snapshot = plain(told["url"], image)
        seconds = time.monotonic() - began
    elif told["kind"] == "plain-publish":
        snapshot = plain_publish(told["url"], image)
        seconds = time.monotonic() - began
    elif told["kind"] == "invar-publish":
        snapshot = our_publish(told, image)
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


def our_publish(told: dict[str, str], image: Path) -> str:
    """Invar's publish to every region: hashing, upload or delta, registration, copies, records, parameters."""
    blocks = map_blocks(image, Report())
    artifact = Artifact(image, blocks, Identity("bench", blocks.digest, "0" * 64), "x86_64")
    cloud, store = Cloud(endpoint_url=told["url"]), Store(Path(told["home"]) / "store")
    done = publish(cloud, artifact, Destination(REGIONS), store, Report(), version="bench")
    if len(done.images) != len(REGIONS):
        raise SystemExit(f"not everywhere: {done.failed}")
    return done.images[REGION].snapshots[0]


def plain_publish(url: str, image: Path) -> str:
    """The straightforward way to every region: upload, register, begin every copy, wait for each."""
    identity = plain(url, image)
    ec2 = {region: boto3.client("ec2", region_name=region, endpoint_url=url) for region in REGIONS}
    root = {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": identity, "VolumeType": "gp3"}}
    name = f"bench-{identity}"
    home = ec2[REGION].register_image(
        Name=name,
        Architecture="x86_64",
        VirtualizationType="hvm",
        RootDeviceName="/dev/xvda",
        BlockDeviceMappings=[root],
    )["ImageId"]
    made = {REGION: home}
    for region in REGIONS[1:]:
        copy = ec2[region].copy_image(Name=name, SourceImageId=home, SourceRegion=REGION)
        made[region] = copy["ImageId"]
    for region, copied in made.items():
        ec2[region].get_waiter("image_available").wait(ImageIds=[copied], WaiterConfig={"Delay": 1})
    return identity


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
    ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[identity], WaiterConfig={"Delay": 1})
    return str(identity)


def show(rows: dict[str, list[Measured]], image: Path) -> None:
    """The table: medians; MB/s counts the image's bytes that had to get there, by the wall clock."""
    size = image.stat().st_size
    print(f"\nmedians of {max(map(len, rows.values()))}")
    print(f"image {size / 1e6:.0f} MB, {image.stat().st_blocks * 512 / 1e6:.0f} MB of it on disk\n")
    print(f"{'':36}{'seconds':>9}{'sent MB':>10}{'sent MB/s':>11}{'image MB/s':>12}{'peak MiB':>10}")
    for name, runs in rows.items():
        seconds = statistics.median(one.seconds for one in runs)
        sent = statistics.median(one.bytes for one in runs)
        peak = statistics.median(one.peak_mib for one in runs)
        rates = f"{sent / 1e6 / seconds:>11.0f}{runs[0].size / 1e6 / seconds:>12.0f}"
        print(f"{name:36}{seconds:>9.2f}{sent / 1e6:>10.1f}{rates}{peak:>10.0f}")


if __name__ == "__main__":
    main()
