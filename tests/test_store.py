"""The tables as they are upgraded, and what search asks of them."""

import sqlite3
from contextlib import suppress

import numpy as np
import pytest

from brute import add_film, add_pictures, some
from glimpse.collection import Collection
from glimpse.errors import UsageError
from glimpse.store import Commit
from glimpse.values import Failure

SECOND = """
PRAGMA application_id = 1735158125; PRAGMA user_version = 2; PRAGMA journal_mode = WAL;
CREATE TABLE generations (id INTEGER PRIMARY KEY, model TEXT NOT NULL, fingerprint TEXT NOT NULL, dim INTEGER NOT NULL,
    precision TEXT NOT NULL, parity INTEGER NOT NULL) STRICT;
CREATE TABLE items (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, digest BLOB NOT NULL,
    origin TEXT NOT NULL, metadata TEXT NOT NULL, duration REAL, sampling TEXT NOT NULL, whole INTEGER NOT NULL) STRICT;
CREATE TABLE failures (
    key TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, code TEXT NOT NULL, message TEXT NOT NULL,
    origin TEXT NOT NULL) STRICT;
CREATE INDEX items_by_digest ON items (digest);
CREATE TABLE frames (
    id INTEGER PRIMARY KEY, item INTEGER NOT NULL REFERENCES items (id) ON DELETE CASCADE, time REAL NOT NULL,
    generation INTEGER NOT NULL REFERENCES generations (id), vector BLOB NOT NULL, UNIQUE (item, time)) STRICT;
INSERT INTO items VALUES (3, '/p/a', 5, 6, x'01', '["folder", "/p/a"]', '{"title": "a"}', NULL, '', 1);
INSERT INTO items VALUES (4, '/p/b', 5, 6, x'02', '["folder", "/p/b"]', '{}', NULL, '', 1);
INSERT INTO items VALUES (8, '/p/f.mp4', 5, 6, x'03', '["folder", "/p/f.mp4"]', '{}', 20.0, 'every 1.0', 1);
INSERT INTO failures VALUES ('/p/x', 3, 4, 'corrupt', 'it is damaged', '["folder", "/p/x"]');
"""


@pytest.fixture
def second(tmp_path, tiny):
    """A file of the second format: two pictures and a film of three frames."""
    old = sqlite3.connect(tmp_path / "old.db", isolation_level=None)
    old.executescript(SECOND)
    old.execute("INSERT INTO generations VALUES (1, 'x', ?, 32, 'float32', 0)", (tiny.fingerprint,))
    vectors = [row.tobytes() for row in some(5).astype(np.float16)]
    frames = [(4, 3, float("-inf")), (9, 4, float("-inf")), (2, 8, 0.0), (12, 8, 1.0), (5, 8, 2.0)]
    for (number, item, time), vector in zip(frames, vectors, strict=True):
        old.execute("INSERT INTO frames VALUES (?, ?, ?, 1, ?)", (number, item, time, vector))
    old.close()
    return tmp_path / "old.db"


def test_a_collection_of_the_second_format_is_brought_up_to_date(second, tiny):
    for turn in range(2):
        with Collection(second, tiny) as photos:
            assert photos.store.one("PRAGMA user_version") == (3,)
            assert photos.store.one("PRAGMA integrity_check") == ("ok",)
            assert photos.store.one("PRAGMA foreign_key_check") is None
            keys, rows = photos.vectors()
            assert keys == ["/p/a", "/p/b", "/p/f.mp4#t=0.000", "/p/f.mp4#t=1.000", "/p/f.mp4#t=2.000"]
            assert np.abs(rows - some(5)).max() < 1e-3
            assert photos.store.item("/p/a").metadata == {"title": "a"}
            assert photos.store.film(8)[0] == 20.0
            assert photos.failures() == [Failure("/p/x", "corrupt", "it is damaged")]
            assert photos.store.commit().id == 1
            assert len(photos.store.commit().stamp) == 8
            numbers = set(photos.store.frames().tolist())
            assert numbers == {2, 4, 5, 9, 12}, turn


def test_frames_of_an_upgraded_collection_get_fresh_numbers(second, tiny):
    with Collection(second, tiny) as photos:
        photos.remove("/p/f.mp4")  # and with it the frame of the highest number
        assert photos.store.frames().tolist() == [4, 9]
        add_pictures(photos, ["/p/b", "/p/new"], some(2, seed=1))
        assert photos.store.frames().tolist() == [4, 13, 14]
        assert len(photos) == 3


def test_two_upgrades_of_one_file_are_two_states(second, tiny, tmp_path):
    (tmp_path / "copy.db").write_bytes(second.read_bytes())
    with Collection(second, tiny) as one, Collection(tmp_path / "copy.db", tiny) as other:
        assert one.store.commit().id == other.store.commit().id
        assert not one.store.knows(other.store.commit())


def test_each_change_is_a_commit_and_no_change_is_none(photos):
    first = photos.store.commit()
    add_pictures(photos, ["/a"], some(1))
    second = photos.store.commit()
    assert second.id > first.id
    photos.remove("/none")
    photos.add([], some(0))
    assert photos.store.commit() == second
    assert photos.store.knows(first)
    assert not photos.store.knows(Commit(first.id, second.stamp))
    photos.remove("/a")
    assert photos.store.commit() != second


def test_old_commits_are_forgotten(photos, monkeypatch):
    monkeypatch.setattr("glimpse.store._KEPT_COMMITS", 3)
    known = [photos.store.commit()]
    for place in range(5):
        add_pictures(photos, [f"/{place}"], some(1))
        known.append(photos.store.commit())
    assert [photos.store.knows(commit) for commit in known] == [False, False, False, True, True, True]


def test_what_failed_leaves_no_commit(photos):
    add_pictures(photos, ["/a"], some(1))
    before = photos.store.commit()
    with suppress(ZeroDivisionError), photos.store.transaction():
        photos.store.remove("/a")
        raise ZeroDivisionError
    assert "/a" in photos
    assert photos.store.commit() == before


def test_frames_come_in_the_order_of_their_numbers_some_at_a_time(photos, monkeypatch):
    monkeypatch.setattr("glimpse.store._PAGE", 4)
    add_pictures(photos, [f"/z/{place}" for place in range(5)], some(5))
    add_film(photos, "/a.mp4", some(6, seed=1))
    photos.remove("/z/2")
    parts = list(photos.store.after(0))
    facts = np.concatenate([part[0] for part in parts])
    assert max(len(part[0]) for part in parts) == 4
    assert facts["frame"].tolist() == photos.store.frames().tolist() == [1, 2, 4, 5, *range(6, 12)]
    assert np.isneginf(facts["time"][:4]).all()
    assert facts["time"][4:].tolist() == [0, 1, 2, 3, 4, 5]
    rows = np.concatenate([part[1] for part in parts])
    assert (rows[4:] == some(6, seed=1).astype(np.float16)).all()
    assert [part[0]["frame"].tolist() for part in photos.store.after(9)] == [[10, 11]]
    assert list(photos.store.after(11)) == []


def test_a_moment_is_seen_whole_whatever_another_process_does(photos, tiny):
    add_pictures(photos, ["/a", "/b"], some(2))
    with Collection(photos.path, tiny) as other, photos.store.snapshot():
        commit = photos.store.commit()
        other.remove("/a")
        add_pictures(other, ["/c"], some(1))
        assert photos.store.commit() == commit
        assert photos.store.keys() == ["/a", "/b"]
        assert photos.store.frames().tolist() == [1, 2]
    assert photos.store.keys() == ["/b", "/c"]


def test_names_and_vectors_of_many_and_of_those_that_are_gone(photos, monkeypatch):
    monkeypatch.setattr("glimpse.store._PAGE", 2)
    add_pictures(photos, [f"/{place}" for place in range(5)], some(5), metadata={"x": 1})
    photos.remove("/3")
    assert {number: key for number, (key, _) in photos.store.named([1, 2, 3, 4, 5, 99]).items()} == {
        1: "/0", 2: "/1", 3: "/2", 5: "/4",
    }  # fmt: skip
    assert photos.store.named([1])[1][1] == {"x": 1}
    assert photos.store.halves([2, 4, 99]) == {2: some(5)[1].astype(np.float16).tobytes()}
    assert photos.store.named([]) == photos.store.halves([]) == {}


@pytest.mark.parametrize("row", [2 * some(1), 0 * some(1), np.nan * some(1)], ids=["long", "nothing", "no number"])
def test_rows_that_are_not_of_unit_length_are_refused(photos, row):
    with pytest.raises(UsageError, match="unit length"):
        add_pictures(photos, ["/a", "/b"], np.concatenate([some(1), row]))
    assert len(photos) == 0
