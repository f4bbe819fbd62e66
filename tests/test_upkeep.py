"""What a collection is searched with follows it through everything: a few hundred rows are many here."""

import errno
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from brute import add_film, add_pictures, expected, index_of, same, some, thing
from glimpse import upkeep
from glimpse.collection import Collection
from glimpse.errors import StorageError
from glimpse.search import fitting
from glimpse.search.exact import Exact
from glimpse.search.files import Files
from glimpse.search.large import Large
from glimpse.search.recall import captions
from glimpse.values import Embedding, Filter

QUERY = some(1, seed=999)[0]
COUNT = 120


@pytest.fixture(autouse=True)
def _a_few_hundred_are_many(monkeypatch):
    monkeypatch.setattr(upkeep, "MANY", 60)
    monkeypatch.setattr(fitting, "TAIL", 25)
    monkeypatch.setattr(fitting, "ENOUGH", 20)
    monkeypatch.setattr("glimpse.search.codes.LEAST_IN_SHARD", 50)
    monkeypatch.setattr("glimpse.search.large.MANY", 4)
    monkeypatch.setattr("glimpse.search.large.MANY_BY_CODES", 8)
    monkeypatch.setattr("glimpse.collection.captions", lambda: [f"a dog and {count} cats" for count in range(40)])


@pytest.fixture
def many(photos):
    add_pictures(photos, keys(0, COUNT), some(COUNT))
    photos.search(QUERY)
    return photos


def keys(start, stop):
    return [f"/p/{place:05}.jpg" for place in range(start, stop)]


def files_of(collection):
    return Files(upkeep.folder_beside(collection.path))


def different(encoder, count):
    """Texts that a model tells apart."""
    texts = captions()
    _, firsts = np.unique(encoder.texts(texts).astype(np.float16), axis=0, return_index=True)
    assert len(firsts) >= count
    return [texts[first] for first in firsts[:count]]


def found_rightly(collection, query=QUERY):
    """Whether the large path finds what is there."""
    assert same(collection.search(query), expected(collection, query))
    assert isinstance(index_of(collection), Large)
    return True


# Everything in any order


class Life(RuleBasedStateMachine):
    """A collection through its life; after each step it is asked."""

    def __init__(self, encoder, folder):
        super().__init__()
        self.encoder, self.path = encoder, folder / "photos.db"
        for old in folder.iterdir():
            shutil.rmtree(old) if old.is_dir() else old.unlink()
        self.photos = Collection(self.path, encoder)
        self.queries = encoder.texts(
            [f"a dog and {count} boats" for count in range(9)]
        )  # as those that codes are fitted to
        self.count, self.seen = 0, {}
        self.copy = None

    def teardown(self):
        self.photos.close()

    def more(self, to, count, folder="a"):
        self.count += 1
        names = [f"/{folder}/{self.count:03}-{place:03}.jpg" for place in range(count)]
        add_pictures(to, names, some(count, seed=self.count))

    def items(self):
        return sorted({key.partition("#")[0] for key in self.photos})

    @initialize()
    def begin(self):
        self.more(self.photos, 70)
        self.more(self.photos, 20, "b")

    @rule(count=st.integers(1, 40), folder=st.sampled_from("ab"))
    def pictures_come(self, count, folder):
        self.more(self.photos, count, folder)

    @rule(frames=st.integers(1, 40))
    def a_film_comes(self, frames):
        self.count += 1
        add_film(self.photos, f"/b/{self.count}.mp4", some(frames, seed=self.count))

    @rule(data=st.data(), count=st.integers(1, 12))
    def some_go(self, data, count):
        items = self.items()
        self.photos.remove(data.draw(st.lists(st.sampled_from(items), max_size=count)) if items else [])

    @rule(count=st.integers(1, 60))
    def the_best_go(self, count):
        self.photos.remove([hit.item for hit in self.photos.search(self.queries[0], k=count)])

    @rule(data=st.data())
    def one_is_changed(self, data):
        self.count += 1
        pictures = [item for item in self.items() if item.endswith("jpg")]
        if pictures:
            key = data.draw(st.sampled_from(pictures))
            self.photos.add([Embedding(thing(key), b"%d" % self.count)], some(1, seed=self.count))

    @rule(data=st.data())
    def one_is_moved(self, data):
        self.count += 1
        pictures = [item for item in self.items() if item.endswith("jpg")]
        if pictures:
            key = data.draw(st.sampled_from(pictures))
            new = data.draw(st.sampled_from([f"/c/{self.count}.jpg", *pictures]))  # or onto another one
            self.photos.add([], some(0), renamed=[(key, thing(new))])

    @rule()
    def it_is_opened_again(self):
        self.photos.close()
        self.photos = Collection(self.path, self.encoder)

    @rule(count=st.integers(0, 30), goes=st.booleans(), searches=st.booleans())
    def another_process_changes_it(self, count, goes, searches):
        with Collection(self.path, self.encoder) as other:
            if count:
                self.more(other, count)
            if goes:
                other.remove(self.items()[-1:])
            if searches:
                other.search(self.queries[0])

    @rule()
    def it_is_copied(self):
        self.photos.close()
        self.copy = self.path.read_bytes()
        self.photos = Collection(self.path, self.encoder)

    @precondition(lambda self: self.copy)
    @rule()
    def the_copy_comes_back(self):
        self.photos.close()
        self.path.write_bytes(self.copy)
        self.photos, self.seen = Collection(self.path, self.encoder), {}

    @rule(data=st.data(), how=st.sampled_from(["gone", "cut", "flipped"]))
    def a_file_is_damaged_while_nobody_reads_it(self, data, how):
        folder = files_of(self.photos).folder
        names = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
        names = [name for name in names if name != "lock" and not (how == "flipped" and name.endswith(".rows"))]
        if not names:
            return
        self.photos.close()
        path = folder / data.draw(st.sampled_from(names))
        content = path.read_bytes()
        if how == "gone":
            path.unlink()
        elif how == "cut":
            path.write_bytes(content[: len(content) // 2])
        else:
            place = len(content) // 2
            path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        self.photos = Collection(self.path, self.encoder)

    @rule()
    def the_files_are_deleted(self):
        shutil.rmtree(files_of(self.photos).folder, ignore_errors=True)

    @rule()
    def it_is_asked_a_lot(self):
        self.photos.search_many(different(self.encoder, 20))
        self.photos.prepare_search()

    @invariant()
    def what_is_there_is_found(self):
        for query in self.queries[:2]:
            assert same(self.photos.search(query), expected(self.photos, query))
            in_b = expected(self.photos, query, 5, lambda key: key.startswith("/b/"))
            assert same(self.photos.search(query, k=5, among=Filter("/b/")), in_b)
            films = expected(self.photos, query, 3, lambda key: key.endswith("mp4"), frames=True)
            assert same(self.photos.search(query, k=3, among=Filter(kind="film"), frames=True), films)
        for query, hits in zip(self.queries, self.photos.search_many(self.queries, k=20), strict=True):
            assert same(hits, expected(self.photos, query, 20))
        assert isinstance(index_of(self.photos), Large) or len(self.photos) < 2 * upkeep.MANY

    @invariant()
    def a_number_of_a_frame_is_never_another_frames(self):
        frames = self.photos.store._db.execute("SELECT id, vector FROM frames").fetchall()
        assert all(self.seen.setdefault(number, vector) == vector for number, vector in frames)


def test_whatever_happens_what_is_there_is_found(tiny, tmp_path):
    run_state_machine_as_test(
        lambda: Life(tiny, tmp_path),
        settings=settings(
            max_examples=6,
            stateful_step_count=18,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


# One by one


def test_few_vectors_need_no_files(photos):
    add_pictures(photos, keys(0, 59), some(59))
    photos.prepare_search()
    assert same(photos.search("a boat"), expected(photos, photos.encoder.texts(["a boat"])[0]))
    assert isinstance(index_of(photos), Exact)
    assert not files_of(photos).folder.exists()
    assert photos.search_facts() is None


def test_many_vectors_are_searched_in_files_that_say_how_well(many):
    assert found_rightly(many)
    facts = many.search_facts()
    assert (facts.vectors, facts.asked, facts.probes, facts.whole) == (COUNT, "captions", 20, True)
    assert min(facts.recall.values()) >= 0.999
    assert 0 < facts.candidates <= COUNT * 2
    again = files_of(many).manifest()
    with Collection(many.path) as other:  # which makes nothing anew
        assert found_rightly(other)
    assert files_of(many).manifest() == again


@pytest.mark.parametrize("shares", [(0.1, 1), (0.01,)], ids=["lists find enough", "lists find too little"])
def test_very_many_vectors_are_searched_by_lists_if_that_finds_enough(photos, monkeypatch, shares):
    monkeypatch.setattr(fitting, "VERY_MANY", 200)
    monkeypatch.setattr("glimpse.search.recall.PROBED", shares)
    monkeypatch.setattr("glimpse.search.codes.FOR_EACH_LIST", 40)
    queries = photos.encoder.texts(
        [f"a dog and {count} boats" for count in range(5)]
    )  # much like those it is fitted to
    add_pictures(photos, keys(0, 600), some(600))
    assert found_rightly(photos, queries[0])
    assert len(index_of(photos).codes.centroids) == (24 if 1 in shares else 0)
    add_pictures(photos, keys(600, 640), some(40, seed=3))  # more than stay without codes
    photos.remove(keys(0, 10))
    for query in queries:
        assert found_rightly(photos, query)
    assert files_of(photos).manifest().coded == 640
    with Collection(photos.path) as other:
        assert found_rightly(other, queries[1])


def test_a_search_by_key_or_vector_of_many_that_are_ready_needs_no_model(many):
    with Collection(many.path) as other:
        other.search(QUERY)
        other.search(key="/p/00003.jpg")
        assert other._encoder is None


def test_what_comes_is_written_behind_and_found_at_once(many):
    before = files_of(many).manifest()
    add_pictures(many, keys(COUNT, COUNT + 25), some(25, seed=3))
    assert found_rightly(many)
    assert found_rightly(many, some(25, seed=3)[7])
    after = files_of(many).manifest()
    assert (after.name, after.rows, after.coded) == (before.name, COUNT + 25, COUNT)
    add_pictures(many, ["/one/more"], some(1, seed=4))
    assert found_rightly(many, some(1, seed=4)[0])  # codes come when a tail is too long
    assert (files_of(many).manifest().name, files_of(many).manifest().coded) == (before.name, COUNT + 26)
    assert files_of(many).is_whole(files_of(many).manifest())


def test_what_goes_is_only_noted_while_it_is_little(many):
    before = files_of(many).manifest()
    best = [hit.key for hit in many.search(QUERY, k=6)]
    many.remove(best)
    assert found_rightly(many)
    after = files_of(many).manifest()
    assert (after.name, after.rows, after.live) == (before.name, COUNT, COUNT - 6)
    many.remove([hit.key for hit in many.search(QUERY, k=1)])
    assert found_rightly(many)
    assert files_of(many).manifest().name != before.name
    assert files_of(many).manifest().rows == COUNT - 7


def test_one_goes_and_one_comes(many):
    many.remove(many.search(QUERY)[0].key)
    add_pictures(many, ["/new"], QUERY[None])
    assert found_rightly(many)
    assert many.search(QUERY)[0].key == "/new"
    assert files_of(many).manifest().dead


def test_what_was_only_moved_is_found_under_its_new_name(many):
    before = files_of(many).manifest()
    key = many.search(QUERY)[0].key
    many.add([], some(0), renamed=[(key, thing("/moved"))])
    assert many.search(QUERY)[0].key == "/moved"
    assert found_rightly(many)
    after = files_of(many).manifest()
    assert (after.name, after.rows_sum, after.dead) == (before.name, before.rows_sum, ())


def test_another_process_may_bring_the_files_up_to_date(many, tiny):
    with Collection(many.path, tiny) as other:
        add_pictures(other, ["/new"], QUERY[None])
        other.search(QUERY)
        up_to_date = files_of(many).manifest()
    assert many.search(QUERY)[0].key == "/new"
    assert files_of(many).manifest() == up_to_date


def test_an_old_copy_of_the_collection_is_never_searched_with_newer_files(many, tiny):
    many.close()
    old = many.path.read_bytes()
    with Collection(many.path, tiny) as photos:
        add_pictures(photos, ["/new"], QUERY[None])
        assert photos.search(QUERY)[0].key == "/new"
    many.path.write_bytes(old)
    with Collection(many.path, tiny) as photos:
        add_pictures(photos, ["/other"], some(1, seed=5))  # the same numbers of commit and frame, and not the same
        kept = files_of(photos).manifest()
        assert kept.commit == photos.store.commit().id
        assert kept.stamp != photos.store.commit().stamp.hex()
        assert found_rightly(photos)
        assert found_rightly(photos, some(1, seed=5)[0])


def test_a_newer_copy_of_the_collection_is_searched_with_files_brought_up_to_date(many, tiny, tmp_path):
    shutil.copytree(files_of(many).folder, tmp_path / "old")
    add_pictures(many, ["/new"], QUERY[None])
    many.search(QUERY)
    many.close()
    shutil.rmtree(files_of(many).folder)
    shutil.copytree(tmp_path / "old", files_of(many).folder)
    with Collection(many.path, tiny) as photos:
        assert found_rightly(photos)
        assert files_of(photos).manifest().name in {path.stem for path in (tmp_path / "old").iterdir()}


def test_numbers_of_frames_are_never_given_again(many, tiny):
    last = max(many.store.frames())
    many.remove(keys(0, COUNT))
    many.close()
    with Collection(many.path, tiny) as photos:
        add_pictures(photos, keys(0, 3), some(3))
        assert min(photos.store.frames()) > last


def test_a_film_that_grows_is_found_by_its_new_frames(many):
    rows = some(30, seed=8)
    for stop in (10, 20, 30):
        frames = [Embedding(thing("/f.mp4"), b"f", float(second), "every 1.0") for second in range(stop - 10, stop)]
        many.add(frames, rows[stop - 10 : stop])
        assert many.search(rows[stop - 1])[0].key == f"/f.mp4#t={stop - 1}.000"
        assert found_rightly(many)
    many.add([Embedding(thing("/f.mp4"), b"other", 0.0, "every 1.0")], some(1, seed=9))
    assert found_rightly(many, rows[29])


@pytest.mark.parametrize("together", [2, 4])
def test_several_may_make_the_files_at_once(many, tiny, together):
    shutil.rmtree(files_of(many).folder)

    def one(_):
        with Collection(many.path, tiny) as other:
            return other.search(QUERY)

    with ThreadPoolExecutor(together) as pool:
        found = list(pool.map(one, range(together)))
    assert all(same(hits, expected(many, QUERY)) for hits in found)
    assert files_of(many).is_whole(files_of(many).manifest())
    assert len(list(files_of(many).folder.glob("*.rows"))) == 1


@contextmanager
def meanwhile(monkeypatch, act):
    """Something is done when next the files are about to be changed."""
    changing = Files.changing
    waiting = [act]

    def and_then(self):
        if waiting:
            waiting.pop()()
        return changing(self)

    monkeypatch.setattr(Files, "changing", and_then)
    yield
    assert not waiting


def test_files_that_another_process_brought_further_meanwhile_are_not_made_anew(many, tiny, monkeypatch):
    name = files_of(many).manifest().name

    def another_process():
        with Collection(many.path, tiny) as other:
            add_pictures(other, ["/y"], some(1, seed=5))
            other.search(QUERY)

    add_pictures(many, ["/x"], some(1, seed=4))
    with meanwhile(monkeypatch, another_process):
        many.search(QUERY)
    assert found_rightly(many)
    assert files_of(many).manifest().name == name


# What was asked


def test_what_is_asked_of_many_is_what_they_are_fitted_to(many, monkeypatch):
    monkeypatch.setattr(fitting, "ENOUGH", 30)
    texts = different(many.encoder, 30)
    for text in texts[:10]:
        many.search(text)
    many.search(QUERY)  # vectors are not kept, they may be anything
    many.prepare_search()
    assert many.search_facts().asked == "captions"
    many.search(texts[10])
    many.search_many(texts[11:])
    many.prepare_search()
    facts = many.search_facts()
    assert (facts.asked, facts.probes) == ("queries", 15)
    assert found_rightly(many)


def test_many_texts_are_remembered_though_they_are_the_first_that_are_asked(many, tiny):
    with Collection(many.path, tiny) as photos:
        photos.search_many(["a boat", "two boats"])
    assert len(files_of(many).queries(many.generation.fingerprint, 32)) == 2


def test_without_a_model_all_rows_are_compared_until_there_is_one(many, monkeypatch):
    shutil.rmtree(files_of(many).folder)
    with Collection(many.path, "/no/such/model") as photos:
        assert found_rightly(photos)
        facts = photos.search_facts()
        assert (facts.candidates, facts.probes, facts.recall) == (0, 0, {})
    many.prepare_search()
    assert many.search_facts().probes == 20
    assert found_rightly(many)


def test_after_a_model_of_another_width_nothing_of_the_first_is_left(many, demo):
    many.remove(keys(0, COUNT))
    many.close()
    rows = some(COUNT * 21, demo.dim)
    with Collection(many.path, demo) as photos:
        add_pictures(photos, keys(0, len(rows)), rows)
        assert found_rightly(photos, demo.texts(["a dog and 50 cats"])[0])  # like what codes are fitted to
        assert files_of(photos).manifest().dim == demo.dim


# Damage


def swap_rows(collection, one, other):
    """Have two rows of the file change places."""
    files = files_of(collection)
    kept = files.manifest()
    path = files.folder / f"{kept.name}.rows"
    rows = np.fromfile(path, np.float16).reshape(-1, kept.dim)
    rows[[one, other]] = rows[[other, one]]
    rows.tofile(path)


@pytest.mark.parametrize("opened", [True, False])
def test_a_row_that_is_not_the_collections_is_noticed_and_the_files_are_made_anew(many, tiny, opened):
    before = files_of(many).manifest()
    best = keys(0, COUNT).index(many.search(QUERY)[0].key)
    many.search(QUERY)
    swap_rows(many, best, (best + 1) % COUNT)
    if opened:
        assert found_rightly(many)
    else:
        many.close()
        with Collection(many.path, tiny) as photos:
            assert found_rightly(photos)
    after = files_of(many).manifest()
    assert after.name != before.name
    assert files_of(many).is_whole(after)


@pytest.mark.parametrize("opened", [True, False])
def test_rows_that_are_said_to_be_damaged_are_mended_by_the_next_search(many, tiny, opened):
    worst = keys(0, COUNT).index(many.search(QUERY, k=COUNT)[-1].key)
    swap_rows(many, worst, 3 if worst != 3 else 4)
    assert not many.search_facts().whole
    if opened:
        many.search(QUERY, k=3)
    else:
        with Collection(many.path, tiny) as other:
            other.search(QUERY, k=3)
    assert many.search_facts().whole


def no_number(collection, place):
    """Have a byte of a row flipped, so that the row is infinite or no number."""
    files = files_of(collection)
    path = files.folder / f"{files.manifest().name}.rows"
    rows = np.fromfile(path, np.uint16).reshape(-1, 32)
    rows[place, 0] |= 0x7C00
    rows.tofile(path)


@pytest.mark.parametrize("k", [1, 10])
def test_a_row_that_became_no_number_is_noticed(many, k):
    no_number(many, keys(0, COUNT).index(many.search(QUERY)[0].key))
    assert same(many.search(QUERY, k=k), expected(many, QUERY, k))


def test_a_row_that_became_no_number_is_no_error_of_ours_when_codes_are_made(many, monkeypatch):
    monkeypatch.setattr(fitting, "ENOUGH", 10)
    many.search_many(different(many.encoder, 10))
    no_number(many, 5)
    many.prepare_search()
    assert found_rightly(many)


def path_of(collection, kind):
    kept = files_of(collection).manifest()
    name = {"search.json": "search", "npz": kept.codes}.get(kind, kept.name)
    return files_of(collection).folder / f"{name}.{kind.rpartition('.')[2]}"


@pytest.mark.parametrize("left", [0, 100, None])
@pytest.mark.parametrize("kind", ["rows", "facts", "npz", "search.json"])
def test_files_that_are_damaged_or_gone_are_made_anew(many, tiny, kind, left):
    path = path_of(many, kind)
    many.close()
    path.unlink() if left is None else os.truncate(path, left)
    with Collection(many.path, tiny) as photos:
        assert not photos.search_facts().whole
        assert found_rightly(photos)
        assert photos.search_facts().whole
    assert len(list(files_of(many).folder.iterdir())) == 5  # and nothing is left of the old ones


@pytest.mark.parametrize(
    "kind",
    [
        "rows",
        "facts",
        "npz",
    ],
)
def test_so_they_are_when_the_collection_changed_too(many, tiny, kind):
    path_of(many, kind).unlink()
    many.close()
    with Collection(many.path, tiny) as photos:
        add_pictures(photos, ["/new"], QUERY[None])
        assert found_rightly(photos)


def test_the_files_may_be_deleted_at_any_time(many):
    shutil.rmtree(files_of(many).folder)
    assert found_rightly(many)  # what is mapped stays
    add_pictures(many, ["/new"], QUERY[None])
    assert found_rightly(many)


# Where nothing can be written


def test_beside_a_folder_that_cannot_be_written_the_files_are_in_the_cache(many, tiny, monkeypatch, tmp_path):
    monkeypatch.setenv("GLIMPSE_CACHE", str(tmp_path / "cache"))
    many.close()
    shutil.rmtree(files_of(many).folder)
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: os.fspath(path) != str(tmp_path) and access(path, mode))
    for _ in range(2):
        with Collection(many.path, tiny) as photos:
            assert found_rightly(photos)
            assert photos.search_facts().whole
        assert len(list((tmp_path / "cache" / "search").iterdir())) == 1
    assert not files_of(many).folder.exists()


def full(*_args, **_kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("what", ["_write", "replacing", "os.fsync", "np.savez"])
def test_on_a_full_disk_all_rows_are_compared_in_memory(many, what, monkeypatch):
    before = files_of(many).manifest()
    add_pictures(many, keys(COUNT, COUNT + 30), some(30, seed=3))
    with monkeypatch.context() as patch:
        patch.setattr(f"glimpse.search.files.{what}", full)
        for query in (QUERY, some(30, seed=3)[4]):
            assert same(many.search(query), expected(many, query))
        assert isinstance(index_of(many), Exact)
        many.prepare_search()
        assert files_of(many).manifest() in (None, before) or what == "np.savez"
    add_pictures(many, ["/new"], QUERY[None])  # when there is room again
    assert found_rightly(many)
    assert many.search_facts().whole


@pytest.mark.parametrize("what", ["usage", "_write"])
def test_a_full_disk_is_left_as_full_as_it_was(photos, what, monkeypatch):
    add_pictures(photos, keys(0, COUNT), some(COUNT))
    with monkeypatch.context() as patch:
        if what == "usage":
            patch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - 1000, 1000))
        else:
            written = []
            really = Files.appended

            def until_it_is_full(self, *what):
                written.append(really(self, *what))
                full()

            patch.setattr(Files, "appended", until_it_is_full)
        assert same(photos.search(QUERY), expected(photos, QUERY))
        assert isinstance(index_of(photos), Exact)
        assert {path.name for path in files_of(photos).folder.iterdir()} <= {"lock"}
    add_pictures(photos, ["/new"], QUERY[None])
    assert found_rightly(photos)


@pytest.mark.parametrize(("mode", "folder"), [(0o600, 0o700), (0o640, 0o750), (0o644, 0o755)])
def test_who_may_read_the_collection_may_read_what_is_derived_of_it(photos, mode, folder):
    photos.path.chmod(mode)
    add_pictures(photos, keys(0, COUNT), some(COUNT))
    assert found_rightly(photos)
    assert files_of(photos).folder.stat().st_mode & 0o777 == folder


@pytest.mark.parametrize("why", ["link", "writable"])
def test_a_folder_that_is_not_ours_is_not_used(photos, why, monkeypatch, tmp_path):
    monkeypatch.setenv("GLIMPSE_CACHE", str(tmp_path / "cache"))
    folder = files_of(photos).folder
    if why == "link":
        (tmp_path / "elsewhere").mkdir()
        folder.symlink_to(tmp_path / "elsewhere")
    else:
        folder.mkdir()
        folder.chmod(0o777)
    add_pictures(photos, keys(0, COUNT), some(COUNT))
    assert found_rightly(photos)
    assert list(folder.iterdir()) == []
    assert photos.search_facts().whole
    assert len(list((tmp_path / "cache" / "search").iterdir())) == 1


def test_more_than_memory_holds_is_an_error_that_says_what_to_do(many, monkeypatch):
    monkeypatch.setattr(upkeep, "IN_MEMORY", 1000)
    monkeypatch.setattr("glimpse.search.files._write", full)
    add_pictures(many, ["/new"], QUERY[None])
    with pytest.raises(StorageError, match="photos.db-search: .* cannot be written there: make room"):
        many.search(QUERY)


def test_what_was_asked_need_not_be_written_down(many, monkeypatch):
    monkeypatch.setattr("pathlib.Path.open", full)
    assert len(many.search("a boat")) == 10
