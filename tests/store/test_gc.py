"""What the store holds is listed by kind, and what is chosen goes."""

from __future__ import annotations

from pathlib import Path

from invar.store import gc
from invar.store.objects import Store


def filled(root: Path) -> Store:
    store = Store(root)
    for kind, key, size in (("deb", "a", 10_000), ("deb", "b", 20_000), ("layer", "c", 400_000)):
        with store.creating(kind, key) as temporary:
            assert temporary is not None
            temporary.write_bytes(b"x" * size)
    return store


def test_kinds_are_summed_largest_first(tmp_path: Path) -> None:
    summed = gc.sizes(gc.list_objects(filled(tmp_path)))
    assert [(item.kind, item.objects) for item in summed] == [("layer", 1), ("deb", 2)]
    assert summed[0].bytes >= 400_000


def test_hard_links_within_an_object_count_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.creating("tree", "a") as temporary:
        assert temporary is not None
        temporary.mkdir()
        (temporary / "one").write_bytes(b"x" * 100_000)
        (temporary / "two").hardlink_to(temporary / "one")
    (item,) = gc.list_objects(store)
    assert 100_000 <= item.bytes < 150_000


def test_choice_is_by_age_kind_and_pins(tmp_path: Path) -> None:
    objects = gc.list_objects(filled(tmp_path))
    now = max(item.changed for item in objects) + 100
    assert gc.choose(objects, now=now, older_than=1000) == []
    assert [item.key for item in gc.choose(objects, now=now, older_than=50)] == ["a", "b", "c"]
    assert [item.key for item in gc.choose(objects, now=now, kinds={"deb"}, keep={("deb", "a")})] == ["b"]


def test_chosen_objects_are_deleted(tmp_path: Path) -> None:
    store = filled(tmp_path)
    freed = gc.delete(store, gc.list_objects(store, {"deb"}))
    assert freed >= 30_000
    assert [item.key for item in gc.list_objects(store)] == ["c"]


def test_interrupted_downloads_are_a_kind_of_their_own(tmp_path: Path) -> None:
    store = filled(tmp_path)
    (tmp_path / ".partial" / "deb.x").write_bytes(b"half")
    partial = gc.list_objects(store, {gc.PARTIAL})
    assert [item.key for item in partial] == ["deb.x"]
    gc.delete(store, partial)
    assert gc.list_objects(store, {gc.PARTIAL}) == []


def test_store_that_does_not_exist_is_empty(tmp_path: Path) -> None:
    assert gc.list_objects(Store(tmp_path / "none")) == []
