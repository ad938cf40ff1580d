"""Objects appear whole or not at all, once, whoever makes them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from invar.core.errors import InvarError
from invar.store.objects import Store

KEY = "ab" * 32


def leftovers(store: Store) -> list[str]:
    return sorted(path.name for path in (store.root / ".tmp").glob("*"))


def test_object_is_there_only_after_its_body_ended(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    with store.creating("tree", KEY) as temporary:
        assert temporary is not None
        temporary.mkdir()
        (temporary / "file").write_text("content")
        assert store.find("tree", KEY) is None
    found = store.find("tree", KEY)
    assert found is not None
    assert (found / "file").read_text() == "content"
    assert leftovers(store) == []


def test_second_creation_finds_the_first(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.creating("text", KEY) as temporary:
        assert temporary is not None
        temporary.write_text("first")
    with store.creating("text", KEY) as temporary:
        assert temporary is None
    assert store.path("text", KEY).read_text() == "first"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_failed_body_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    store = Store(tmp_path)
    with pytest.raises(error), store.creating("tree", KEY) as temporary:
        assert temporary is not None
        temporary.mkdir()
        (temporary / "half").write_text("half")
        raise error
    assert store.find("tree", KEY) is None
    assert leftovers(store) == []
    assert list((tmp_path / ".locks").iterdir()) == []


def test_resumable_body_finds_what_it_had(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), Store(tmp_path).creating("deb", KEY, resumable=True) as partial:
        assert partial is not None
        partial.write_text("half")
        raise KeyboardInterrupt
    store = Store(tmp_path)
    with store.creating("deb", KEY, resumable=True) as partial:
        assert partial is not None
        assert partial.read_text() == "half"
        partial.write_text("half and half")
    assert store.path("deb", KEY).read_text() == "half and half"


def test_full_disk_names_file_system_and_object(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(InvarError) as caught, store.creating("layer", KEY) as temporary:
        assert temporary is not None
        temporary.write_bytes(b"half")
        Path("/dev/full").write_bytes(b"x" * 100_000)
    assert "no space left" in caught.value.what
    assert f"layer {KEY}" in caught.value.what
    assert caught.value.where is not None and caught.value.where.startswith("file system /")
    assert caught.value.why is not None and "MB free" in caught.value.why
    assert store.find("layer", KEY) is None
    assert leftovers(store) == []


@pytest.mark.parametrize(("kind", "key"), [("Up", "x"), ("../x", "x"), ("x", "../y"), ("x", ""), ("x", ".hidden")])
def test_malformed_names_are_refused(tmp_path: Path, kind: str, key: str) -> None:
    with pytest.raises(ValueError, match="not the name"):
        Store(tmp_path).path(kind, key)


MAKES = """
import sys
from pathlib import Path
from invar.store.objects import Store
sys.stdin.readline()
with Store(Path(sys.argv[1])).creating("tree", "shared") as temporary:
    if temporary is not None:
        with open(sys.argv[2], "a") as log:
            log.write("made\\n")
        temporary.write_text("x")
"""


def test_processes_wait_for_one_another(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-c", MAKES, str(tmp_path / "store"), str(log)]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(4)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    assert [process.wait(timeout=60) for process in processes] == [0] * 4
    assert log.read_text() == "made\n"


def test_waiting_is_told(tmp_path: Path) -> None:
    told: list[str] = []
    entered, waiting = threading.Event(), threading.Event()

    def slow() -> None:
        with Store(tmp_path).creating("tree", KEY) as temporary:
            assert temporary is not None
            temporary.write_text("x")
            entered.set()
            assert waiting.wait(10)

    def on_wait(what: str) -> None:
        told.append(what)
        waiting.set()

    thread = threading.Thread(target=slow)
    thread.start()
    assert entered.wait(10)
    with Store(tmp_path, on_wait=on_wait).creating("tree", KEY) as temporary:
        assert temporary is None
    thread.join()
    assert told == [f"tree {KEY}"]


DIES = """
import os, signal, sys
from pathlib import Path
from invar.store.objects import Store
with Store(Path(sys.argv[1])).creating("tree", "dead") as temporary:
    temporary.mkdir()
    (temporary / "half").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_leftovers_of_a_killed_run_go_with_the_next(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", DIES, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / ".tmp" / "tree.dead" / "half").exists()
    store = Store(tmp_path)
    with store.creating("text", KEY) as temporary:
        assert temporary is not None
        temporary.write_text("x")
    assert leftovers(store) == []


def test_sweep_spares_what_a_live_run_makes(tmp_path: Path) -> None:
    with Store(tmp_path).creating("tree", KEY) as temporary:
        assert temporary is not None
        temporary.write_text("live")
        assert Store(tmp_path).sweep() == []
        assert temporary.read_text() == "live"
    assert Store(tmp_path).path("tree", KEY).read_text() == "live"


def test_trees_of_other_users_go_to_the_given_remover(tmp_path: Path) -> None:
    removed: list[Path] = []

    def remove(path: Path) -> None:
        removed.append(path)
        path.unlink()

    store = Store(tmp_path, remove=remove)
    with pytest.raises(RuntimeError), store.creating("tree", KEY) as temporary:
        assert temporary is not None
        temporary.write_text("x")
        raise RuntimeError
    assert removed == [tmp_path / ".tmp" / f"tree.{KEY}"]


def test_records_come_back_and_are_replaced(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.find_record("boot", "a") is None
    store.put_record("boot", "a", {"n": 1, "word": "größe"})
    store.put_record("boot", "a", {"n": 2})
    assert store.find_record("boot", "a") == {"n": 2}
    assert json.loads(store.path("boot", "a").read_text()) == {"n": 2}


def test_record_that_is_no_json_counts_as_absent(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put_record("boot", "a", 1)
    store.path("boot", "a").write_bytes(b"")
    assert store.find_record("boot", "a") is None


def test_discard_deletes_directories_without_permissions(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.creating("tree", KEY) as temporary:
        assert temporary is not None
        (temporary / "work").mkdir(parents=True)
        (temporary / "work" / "file").write_text("x")
        (temporary / "work").chmod(0)
    assert store.discard("tree", KEY)
    assert not store.discard("tree", KEY)
    assert store.find("tree", KEY) is None
    assert leftovers(store) == []


def test_new_store_is_closed_to_other_users(tmp_path: Path) -> None:
    store = Store(tmp_path / "home" / "store")
    store.put_record("a", "b", 1)
    assert store.root.stat().st_mode & 0o777 == 0o700
