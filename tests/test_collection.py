import gc
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import glimpse
from conftest import noise, unit
from glimpse.collection import Collection
from glimpse.errors import ModelMismatch, NotACollection, StorageError, UsageError
from glimpse.values import Embedding, Failure, Item, Moment


def item(key: str, metadata=None) -> Item:
    return Item(key, 1, 1, ("folder", key), metadata or {})


def picture(key: str, digest: bytes = b"") -> Embedding:
    return Embedding(item(key), digest)


def filled(collection, n=5, seed=0):
    rows = unit(np.random.default_rng(seed).standard_normal((n, 32))).astype(np.float32)
    collection.add([picture(f"/p/{place}.jpg", b"%d" % place) for place in range(n)], rows)
    return rows


def test_what_is_added_comes_back(photos):
    rows = filled(photos)
    keys, found = photos.vectors()
    assert keys == [f"/p/{place}.jpg" for place in range(5)] == list(photos)
    assert np.abs(found - rows).max() < 1e-3  # kept as float16
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert len(photos) == 5
    assert "/p/3.jpg" in photos
    assert "/p/9.jpg" not in photos
    assert 3 not in photos


def test_vectors_are_a_copy(photos):
    filled(photos)
    photos.vectors()[1][:] = 0
    assert photos.vectors()[1].any()


def test_adding_again_replaces(photos):
    filled(photos)
    rows = filled(photos, seed=1)
    assert len(photos) == 5
    assert np.abs(photos.vectors()[1] - rows).max() < 1e-3


def test_a_failure_takes_the_place_of_a_vector_and_the_other_way_round(photos):
    filled(photos, 2)
    broken = Failure("/p/0.jpg", "corrupt", "the picture is damaged")
    photos.add([], np.empty((0, 32), np.float32), failed=[(item("/p/0.jpg"), b"", broken)])
    assert list(photos) == ["/p/1.jpg"]
    assert photos.failures() == [broken]
    filled(photos, 1)
    assert photos.failures() == []
    assert len(photos) == 2


def test_rows_that_do_not_fit_are_refused_and_nothing_is_stored(photos):
    with pytest.raises(UsageError, match="finite"):
        photos.add([picture("a", b"")], np.full((1, 32), np.nan, np.float32))
    with pytest.raises(UsageError):
        photos.add([picture("a", b"")], np.empty((2, 32), np.float32))
    assert len(photos) == 0


def test_remove(photos):
    filled(photos)
    assert photos.remove("/p/1.jpg") == 1
    assert photos.remove(["/p/2.jpg", Path("/p/3.jpg"), "/p/77.jpg"]) == 2
    assert list(photos) == ["/p/0.jpg", "/p/4.jpg"]
    assert [hit.key for hit in photos.search(key="/p/0.jpg")] == ["/p/4.jpg"]


def test_origins_of_keys_that_begin_so(photos):
    rows = unit(np.ones((3, 32))).astype(np.float32)
    photos.add([picture(key) for key in ("/a/1.jpg", "/ab/1.jpg", "/a%/x_.jpg")], rows)
    photos.add([], rows[:0], failed=[(item("/a/2.jpg"), b"", Failure("/a/2.jpg", "corrupt", ""))])
    assert list(photos.store.origins("/a/")) == [
        ("/a/1.jpg", ("folder", "/a/1.jpg"), False),
        ("/a/2.jpg", ("folder", "/a/2.jpg"), True),
    ]
    assert [key for key, _, _ in photos.store.origins("/a%")] == ["/a%/x_.jpg"]
    assert [key for key, _, _ in photos.store.origins()] == ["/a%/x_.jpg", "/a/1.jpg", "/a/2.jpg", "/ab/1.jpg"]


def test_more_keys_than_a_page(photos, monkeypatch):
    monkeypatch.setattr("glimpse.store._PAGE", 2)
    filled(photos)
    assert len(list(photos.store.origins("/p/"))) == 5


def test_metadata_comes_back_with_hits(photos):
    rows = unit(np.eye(2, 32)).astype(np.float32)
    told = {"title": "鳥", "year": 1923, "tags": ["a", None], "bad": "\udcff"}
    photos.add([Embedding(item("a", told), b""), picture("b")], rows)
    assert [hit.metadata for hit in photos.search(rows[0])] == [told, {}]


# Films


def film(photos, scores, key="/f.mp4", digest=b"f", duration=50.0, step=10.0):
    """A film whose n-th frame has that cosine to the first axis."""
    rows = np.zeros((len(scores), 32), np.float32)
    rows[:, 0] = scores
    rows[:, 1] = np.sqrt(1 - rows[:, 0] ** 2)
    frames = [Embedding(item(key), digest, place * step, "shots 10") for place in range(len(scores))]
    photos.add(frames, rows, finished=[] if duration is None else [(item(key), duration)])


def test_a_film_has_a_vector_for_each_frame_and_is_one_hit(photos):
    film(photos, [0.1, 0.2, 0.9, 0.8, 0.1])
    photos.add([picture("/p.jpg")], np.eye(1, 32).astype(np.float32) * 1)
    assert len(photos) == 6
    assert list(photos)[:2] == ["/f.mp4#t=0.000", "/f.mp4#t=10.000"] == photos.vectors()[0][:2]
    assert "/f.mp4" in photos
    assert "/f.mp4#t=10.000" in photos
    assert "/f.mp4#t=11.000" not in photos
    assert photos.counts() == {"pictures": 1, "films": 1, "frames": 5, "failed": 0}
    first, second = photos.search(np.eye(1, 32)[0])
    assert (first.key, first.item, first.time) == ("/p.jpg", "/p.jpg", None)
    assert (second.key, second.item, second.time) == ("/f.mp4#t=20.000", "/f.mp4", 20.0)
    assert second.score == pytest.approx(0.9, abs=1e-3)
    assert second.moments == ()


def test_frames_one_by_one(photos):
    film(photos, [0.1, 0.2, 0.9, 0.8, 0.1])
    hits = photos.search(np.eye(1, 32)[0], k=2, frames=True)
    assert [hit.time for hit in hits] == [20.0, 30.0]


def test_a_film_that_begins_before_zero(photos):
    rows = unit(np.eye(2, 32)).astype(np.float32)
    frames = [Embedding(item("/n.mkv"), b"n", time, "shots 10.0") for time in (-3.0, -1.0)]
    photos.add(frames, rows, finished=[(item("/n.mkv"), 5.0)])
    assert list(photos) == ["/n.mkv#t=-3.000", "/n.mkv#t=-1.000"] == photos.vectors()[0]
    assert photos.counts()["frames"] == 2
    hit = photos.search(rows[1], moments=True)[0]
    assert (hit.key, hit.time, hit.moments[0].start) == ("/n.mkv#t=-1.000", -1.0, -1.0)
    assert photos.store.shown_by("/n.mkv#t=-1.000") == ("/n.mkv", -1.0)


def test_moments_of_a_film(photos):
    film(photos, [0.1, 0.2, 0.9, 0.8, 0.1, 0.1, 0.7])
    (hit,) = photos.search(np.eye(1, 32)[0], moments=True)
    assert [(part.start, part.end, part.key) for part in hit.moments] == [
        (20.0, 40.0, "/f.mp4#t=20.000"),
        (60.0, 60.0, "/f.mp4#t=60.000"),  # the film is said to end before
    ]
    assert isinstance(hit.moments[0], Moment)
    assert hit.moments[0].score == pytest.approx(0.9, abs=1e-3)


def test_more_like_a_frame_is_not_its_own_film(photos):
    film(photos, [0.1, 0.9])
    film(photos, [0.2, 0.8], key="/g.mp4")
    assert [hit.item for hit in photos.search(key="/f.mp4#t=10.000")] == ["/g.mp4"]
    assert [hit.item for hit in photos.search(key="/f.mp4")] == ["/g.mp4"]


def test_a_film_that_is_being_added_grows_and_one_that_changed_begins_anew(photos):
    film(photos, [0.1, 0.2], duration=None)
    assert not photos.store.known("/f.mp4").whole
    assert photos.store.times("/f.mp4") == {0.0, 10.0}
    film(photos, [0.1, 0.2, 0.3])
    assert photos.store.known("/f.mp4").whole
    assert len(photos) == 3
    film(photos, [0.5], digest=b"another")
    assert list(photos) == ["/f.mp4#t=0.000"]


def test_a_film_that_broke_keeps_its_frames_and_stands_in_the_ledger(photos):
    film(photos, [0.1, 0.2], duration=None)
    broken = Failure("/f.mp4", "truncated", "")
    photos.add([], np.empty((0, 32), np.float32), failed=[(item("/f.mp4"), b"f", broken)])
    assert len(photos) == 2
    assert photos.failures() == [broken]
    assert photos.store.known("/f.mp4").code == "truncated"
    photos.add([], np.empty((0, 32), np.float32), failed=[(item("/f.mp4"), b"changed", broken)])
    assert len(photos) == 0


def test_a_file_called_like_a_frame(photos):
    photos.add([picture("/odd#t=1.000"), picture("/other")], unit(np.eye(2, 32)).astype(np.float32))
    assert "/odd#t=1.000" in photos
    assert [hit.item for hit in photos.search(key="/odd#t=1.000")] == ["/other"]


def test_a_collection_of_the_first_format_is_brought_up_to_date(tmp_path, tiny):
    old = sqlite3.connect(tmp_path / "old.db", isolation_level=None)
    old.executescript("""
        PRAGMA application_id = 1735158125; PRAGMA user_version = 1; PRAGMA journal_mode = WAL;
        CREATE TABLE generations (id INTEGER PRIMARY KEY, model TEXT NOT NULL, fingerprint TEXT NOT NULL, dim INTEGER NOT NULL,
            precision TEXT NOT NULL, parity INTEGER NOT NULL) STRICT;
        CREATE TABLE items (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
            digest BLOB NOT NULL) STRICT;
        CREATE INDEX items_by_digest ON items (digest);
        CREATE TABLE vectors (item INTEGER PRIMARY KEY REFERENCES items (id) ON DELETE CASCADE,
            generation INTEGER NOT NULL REFERENCES generations (id), vector BLOB NOT NULL) STRICT;
        CREATE TABLE failures (key TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, code TEXT NOT NULL,
            message TEXT NOT NULL) STRICT;
        INSERT INTO failures VALUES ('/p/x', 3, 4, 'corrupt', 'it is damaged');
    """)
    old.execute("INSERT INTO generations VALUES (1, 'x', ?, 32, 'float32', 0)", (tiny.fingerprint,))
    row = unit(np.ones((1, 32))).astype(np.float16)
    for place in range(3):
        old.execute("INSERT INTO items VALUES (?, ?, 5, 6, ?)", (place + 7, f"/p/{place}", b"%d" % place))
        old.execute("INSERT INTO vectors VALUES (?, 1, ?)", (place + 7, row.tobytes()))
    old.close()
    for _ in range(2):
        with Collection(tmp_path / "old.db", tiny) as photos:
            assert list(photos) == ["/p/0", "/p/1", "/p/2"]
            assert photos.store.known("/p/1").digest == b"1"
            assert [failure.code for failure in photos.failures()] == ["corrupt"]
            assert photos.store.one("PRAGMA integrity_check") == ("ok",)
            assert [origin for _, origin, _ in photos.store.origins("/p/2")] == [("folder", "/p/2")]
            assert photos.remove("/p/0") == 1  # and its vector with it
            assert len(photos) == 2
            photos.add([picture("/p/0", b"0")], row.astype(np.float32))


# Searching


def test_search_by_vector_and_key(photos):
    rows = filled(photos)
    best = photos.search(rows[2] * 7, k=2)
    assert best[0].key == "/p/2.jpg"
    assert best[0].score == pytest.approx(1, abs=1e-3)
    like = photos.search(key="/p/2.jpg", k=10)
    assert [hit.key for hit in like] == [hit.key for hit in photos.search(rows[2], k=10)][1:]


def test_search_by_text_and_picture(photos, tiny, tmp_path):
    pictures = [noise(seed) for seed in range(4)]
    photos.add([picture(f"{seed}", b"") for seed in range(4)], tiny.images(pictures))
    pictures[3].save(tmp_path / "three.png")
    for query in (pictures[3], tmp_path / "three.png", (tmp_path / "three.png").read_bytes(), np.asarray(pictures[3])):
        hit = photos.search(query, k=1)[0]
        assert (hit.key, round(hit.score, 2)) == ("3", 1.0)
    scores = photos.vectors()[1] @ tiny.texts(["a carriage"])[0]
    assert photos.search("a carriage", k=1)[0].score == pytest.approx(scores.max(), abs=0.01)


def test_a_path_as_text_is_a_text_never_a_picture(photos, tiny, tmp_path):
    noise(1).save(tmp_path / "x.png")
    filled(photos)
    as_text = photos.search(str(tmp_path / "x.png"), k=1)[0].score
    assert as_text == pytest.approx((photos.vectors()[1] @ tiny.texts([str(tmp_path / "x.png")])[0]).max(), abs=0.01)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "empty"),
        ("  \n", "empty"),
        (None, "give a query or a key"),
        (np.ones(7), r"shape \(32,\)"),
        (np.zeros(32), "not all zero"),
        (np.full(32, np.nan), "finite"),
        (3, "no query"),
    ],
)
def test_wrong_queries_get_a_sentence(photos, query, said):
    filled(photos)
    with pytest.raises(UsageError, match=said):
        photos.search(query)


def test_an_unknown_key_gets_a_sentence(photos):
    with pytest.raises(UsageError, match="no item /x.jpg"):
        photos.search(key="/x.jpg")


def test_an_empty_collection_has_no_hits(photos):
    assert photos.search("anything") == []
    assert photos.vectors()[0] == []


def test_searches_see_what_another_process_adds(photos, tiny):
    filled(photos, 2)
    assert len(photos.search(np.ones(32))) == 2
    with Collection(photos.path, tiny) as other:
        filled(other, 4)
    assert len(photos.search(np.ones(32))) == 4


# The model


def test_the_model_is_remembered(photos, golden):
    assert photos.generation is None
    filled(photos)
    made_by = photos.generation
    assert (made_by.model, made_by.dim) == (str(golden("hf-clip-gelu").folder), 32)
    with Collection(photos.path) as again:  # no model named
        assert again.encoder.fingerprint == made_by.fingerprint


def test_another_model_is_refused_with_what_to_do(photos, golden):
    filled(photos)
    other = golden("hf-clip-quickgelu").folder
    with pytest.raises(ModelMismatch, match=r"was made with .*hf-clip-gelu.*Use that model, or another collection"):
        Collection(photos.path, glimpse.load(other))
    with Collection(photos.path, other) as lazily, pytest.raises(ModelMismatch):
        lazily.search("a carriage")
    with pytest.raises(ModelMismatch):
        photos.use(glimpse.load(golden("hf-clip-gelu").folder, parity=True))


def test_a_search_by_key_needs_no_model(photos):
    filled(photos)
    code = f"""
import sys
from glimpse import Collection
print(Collection({str(photos.path)!r}).search(key="/p/0.jpg", k=1)[0].key)
assert "openvino" not in sys.modules
"""
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


# The file


def test_closed_it_is_one_file(photos):
    filled(photos)
    photos.close()
    assert [path.name for path in photos.path.parent.iterdir() if path.name.startswith("photos")] == ["photos.db"]


def test_a_file_of_something_else_is_refused_and_left_alone(tmp_path, tiny):
    foreign = tmp_path / "notes.db"
    db = sqlite3.connect(foreign, isolation_level=None)
    db.execute("CREATE TABLE notes (x)")
    db.close()
    before = foreign.read_bytes()
    with pytest.raises(NotACollection, match="another program"):
        Collection(foreign, tiny)
    (tmp_path / "text.db").write_text("this is no database, it is a letter to a friend" * 100)
    with pytest.raises(NotACollection, match="not a glimpse collection"):
        Collection(tmp_path / "text.db", tiny)
    assert foreign.read_bytes() == before


def test_a_newer_format_is_refused(photos):
    photos.close()
    db = sqlite3.connect(photos.path, isolation_level=None)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(NotACollection, match="format 99"):
        Collection(photos.path)


def test_a_damaged_file_gets_a_sentence(photos, tiny):
    filled(photos, 400)
    photos.close()
    whole = bytearray(photos.path.read_bytes())
    whole[8192:] = b"\x55" * (len(whole) - 8192)
    photos.path.write_bytes(whole)
    with pytest.raises(NotACollection, match="damaged"), Collection(photos.path, tiny) as broken:
        broken.search(np.ones(32))


def test_a_file_that_was_only_begun_is_made_whole(tmp_path, tiny):
    db = sqlite3.connect(tmp_path / "begun.db", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")  # and then the process was killed
    db.close()
    (tmp_path / "nothing.db").touch()
    for name in ("begun.db", "nothing.db"):
        with Collection(tmp_path / name, tiny) as photos:
            filled(photos)
            assert len(photos) == 5


def test_many_may_make_it_at_once(tmp_path):
    code = f"from glimpse import Collection; Collection({str(tmp_path / 'new.db')!r}).close()"
    makers = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(4)]
    assert [maker.wait() for maker in makers] == [0, 0, 0, 0]


def test_a_folder_is_no_collection(tmp_path):
    with pytest.raises(StorageError, match="is a folder"):
        Collection(tmp_path)


def test_no_file_and_none_wanted(tmp_path):
    with pytest.raises(UsageError, match="glimpse index FOLDER"):
        Collection(tmp_path / "none.db", create=False)
    assert not (tmp_path / "none.db").exists()


def test_a_place_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="name another place"):
        Collection(tmp_path / "file" / "photos.db")


def test_a_second_writer_waits_and_is_told(photos, monkeypatch):
    filled(photos)
    photos.store._db.execute("BEGIN IMMEDIATE")
    with Collection(photos.path, photos.encoder) as second:
        assert len(second.search(np.ones(32))) == 5  # readers go on
        second.store._db.execute("PRAGMA busy_timeout = 50")
        with pytest.raises(StorageError, match="another process is writing"):
            filled(second)
    photos.store._db.execute("ROLLBACK")


def small_disk(folder: Path, kilobytes: int):
    """Mount a file system of that size, or skip where this process may not."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root")


def test_a_full_disk_rolls_back_and_the_file_stays_readable(tmp_path, tiny):
    disk = tmp_path / "disk"
    small_disk(disk, 600)
    try:
        with Collection(disk / "photos.db", tiny) as photos:
            filled(photos, 20)
            many = unit(np.random.default_rng(1).standard_normal((5000, 32))).astype(np.float32)
            with pytest.raises(StorageError, match="the disk is full"):
                photos.add([picture(f"/many/{place}", b"x" * 32) for place in range(5000)], many)
            assert len(photos) == 20
            assert len(photos.search(np.ones(32), k=50)) == 20
        with Collection(disk / "photos.db", tiny) as again:
            assert again.store.one("PRAGMA integrity_check") == ("ok",)
            assert len(again) == 20
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_read_only_place_can_be_searched_and_not_written(tmp_path, tiny):
    disk = tmp_path / "disk"
    small_disk(disk, 4000)
    try:
        with Collection(disk / "photos.db", tiny) as photos:
            filled(photos)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with Collection(disk / "photos.db", tiny) as photos:
            assert len(photos.search(np.ones(32))) == 5
            with pytest.raises(StorageError, match="read-only"):
                filled(photos)
        with pytest.raises(StorageError, match="read-only"):
            Collection(disk / "new.db", tiny)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_an_interrupted_batch_leaves_nothing(photos, monkeypatch):
    filled(photos, 3)
    monkeypatch.setattr(photos.store, "fail", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        photos.add(
            [picture("/new", b"")],
            unit(np.ones((1, 32))).astype(np.float32),
            failed=[(item("b"), b"", Failure("b", "corrupt", ""))],
        )
    assert "/new" not in photos
    assert len(photos) == 3


def test_two_models_never_meet_even_when_both_began_with_an_empty_file(tmp_path, tiny, golden):
    other = glimpse.load(golden("hf-clip-quickgelu").folder)
    with Collection(tmp_path / "c.db", tiny) as one, Collection(tmp_path / "c.db", other) as two:
        filled(one, 3)
        with pytest.raises(ModelMismatch):
            two.add([picture("x", b"")], unit(np.ones((1, 48))).astype(np.float32))
        assert len(one) == 3
        assert len(one.search(np.ones(32))) == 3


def test_an_emptied_collection_takes_another_model(photos, golden):
    filled(photos, 2)
    photos.remove(list(photos))
    other = glimpse.load(golden("hf-clip-quickgelu").folder)
    photos.use(other)
    photos.add([picture("x", b"")], unit(np.ones((1, 48))).astype(np.float32))
    assert photos.generation.dim == 48


def test_a_model_that_moved_is_remembered_where_it_is_now(photos, golden, tmp_path):
    filled(photos, 1)
    moved = shutil.copytree(golden("hf-clip-gelu").folder, tmp_path / "moved")
    with Collection(photos.path, glimpse.load(moved)) as again:
        filled(again, 2)
        assert again.generation.model == str(moved)


def test_a_model_that_is_gone_is_named(photos, tmp_path, golden):
    gone = shutil.copytree(golden("hf-clip-gelu").folder, tmp_path / "gone")
    with Collection(tmp_path / "g.db", glimpse.load(gone)) as collection:
        filled(collection, 1)
    shutil.rmtree(gone)
    with (
        Collection(tmp_path / "g.db") as collection,
        pytest.raises(glimpse.errors.ModelNotFound, match="name it as the model"),
    ):
        collection.search("x")


def test_a_move_that_another_process_has_done_loses_nothing(photos):
    filled(photos, 1)
    moved = item("/q/0.jpg")
    nothing = np.empty((0, 32), np.float32)
    photos.add([], nothing, renamed=[("/p/0.jpg", moved)])
    photos.add([], nothing, renamed=[("/p/0.jpg", moved)])
    assert list(photos) == ["/q/0.jpg"]


def test_memory_is_a_file_name_like_any_other(tmp_path, tiny, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Collection(":memory:", tiny) as collection:
        filled(collection, 1)
    assert (tmp_path / ":memory:").is_file()


@pytest.mark.skipif(sys.platform != "linux", reason="open files are counted as Linux shows them")
def test_an_opening_that_fails_holds_no_file(golden, album, tmp_path):
    path = tmp_path / "c.db"
    with Collection(path, glimpse.load(golden("hf-clip-gelu").folder)) as photos:
        photos.index(album)
    gc.disable()  # which would hide it
    try:
        with pytest.raises(ModelMismatch) as caught:
            Collection(path, glimpse.load(golden("open_clip-vit").folder))
        held = [os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()]
        assert not any(str(path) in name for name in held), caught
    finally:
        gc.enable()
