import os
from pathlib import Path

import pytest

from glimpse.errors import BadItem, UsageError
from glimpse.sources import folder


def keys(place):
    return [os.path.relpath(item.key, place) for item in folder.items(folder.root(place))]


def test_files_come_in_order_without_hidden_ones(tmp_path):
    for name in ("b/2", "b/1", "a", ".hidden/x", "b/.secret", "c/d/e"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    assert keys(tmp_path) == ["a", "b/1", "b/2", "c/d/e"]
    item = next(folder.items(tmp_path))
    assert (item.size, item.mtime_ns, item.read()) == (1, (tmp_path / "a").stat().st_mtime_ns, b"a")


def test_a_hidden_place_that_is_named_is_meant(tmp_path):
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "x").write_text("")
    assert keys(tmp_path / ".hidden") == ["x"]
    assert [item.key for item in folder.items(tmp_path / ".hidden" / "x")] == [str(tmp_path / ".hidden" / "x")]


def test_keys_are_absolute_wherever_one_stands(tmp_path, monkeypatch):
    (tmp_path / "x").write_text("")
    monkeypatch.chdir(tmp_path)
    assert folder.root(".") == folder.root("./y/..") == tmp_path
    monkeypatch.setenv("HOME", str(tmp_path))
    assert folder.root("~/x") == tmp_path / "x"


def test_reading_what_cannot_be_read(tmp_path):
    for place, code in ((tmp_path / "gone", "vanished"), (tmp_path, "unreadable"), (Path("nul\0"), "unreadable")):
        with pytest.raises(BadItem) as caught:
            folder.read(place)
        assert caught.value.code == code


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_permissions_are_respected(tmp_path):
    (tmp_path / "locked").mkdir(mode=0)
    with pytest.raises(UsageError, match="permissions"):
        folder.root(tmp_path / "locked")


def test_a_place_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match="check the name"):
        folder.root(tmp_path / "nowhere")


def test_bytes_that_are_no_text_have_a_key_that_can_be_stored(tmp_path):
    (tmp_path / os.fsdecode(b"\xff.png")).write_text("x")
    (item,) = folder.items(tmp_path)
    assert item.key.encode("utf-8").endswith(b"/\\xff.png")
    assert item.read() == b"x"
