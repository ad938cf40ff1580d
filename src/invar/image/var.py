"""The empty ext4 of /var, the same bytes for the same size."""

from __future__ import annotations

from pathlib import Path

from invar.core.canonical import digest
from invar.core.events import Report
from invar.image.gpt import guid
from invar.image.tools import Tools
from invar.sandbox.spec import Bind
from invar.store.objects import Store

KIND = "var"
LABEL = "invar-var"


def make_var(size: int, epoch: int, tools: Tools, store: Store, report: Report) -> Path:
    """A sparse file of `size` bytes with the file system; `epoch` (seconds since 1970) is its only time."""
    identity = str(guid(LABEL))
    features = f"hash_seed={identity},lazy_itable_init=1,lazy_journal_init=1,nodiscard,root_owner=0:0"
    argv = ["mke2fs", "-q", "-F", "-t", "ext4", "-m", "1", "-L", LABEL, "-U", identity, "-E", features, "/var.d/ext4"]
    environment = {"SOURCE_DATE_EPOCH": str(epoch), "E2FSPROGS_FAKE_TIME": str(epoch)}
    key = digest({"argv": argv, "epoch": epoch, "size": size, "tools": tools.root.name})
    with report.stage("var") as stage, store.creating(KIND, key) as temporary:
        stage.cached = temporary is None
        if temporary is not None:
            temporary.mkdir()
            with (temporary / "ext4").open("wb") as file:
                file.truncate(size)
            tools.run(argv, binds=[Bind(temporary, "/var.d", read_only=False)], environment=environment)
    return store.path(KIND, key) / "ext4"
