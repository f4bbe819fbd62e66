"""What is found among many: each test runs where vectors are few, and where they are searched in files beside the collection."""

from contextlib import suppress

import numpy as np
import pytest

from brute import add_film, add_pictures, expected, index_of, same, some, thing
from glimpse import finding
from glimpse.collection import Collection
from glimpse.errors import GlimpseError, UsageError
from glimpse.search import Untrue
from glimpse.search.exact import Exact
from glimpse.search.large import Large
from glimpse.values import Embedding, Filter

COUNT = 150


@pytest.fixture(autouse=True, params=["exact", "large", "large, without codes"])
def way(request, monkeypatch):
    """How vectors are searched."""
    monkeypatch.setattr("glimpse.upkeep.MANY", 10_000 if request.param == "exact" else 20)
    monkeypatch.setattr("glimpse.search.codes.LEAST_IN_SHARD", 60)
    texts = [] if request.param == "large, without codes" else [f"a dog and {count} cats" for count in range(40)]
    monkeypatch.setattr("glimpse.collection.captions", lambda: texts)
    return request.param


def name(place):
    return f"/{'ab'[place % 2]}/{place:04}.jpg"


@pytest.fixture
def many(photos, way):
    add_pictures(photos, map(name, range(COUNT)), some(COUNT))
    yield photos
    if len(photos) > 20:
        photos.search(some(1)[0])
        assert isinstance(index_of(photos), Exact if way == "exact" else Large)


def test_the_nearest_are_found_by_text_and_by_vector(many):
    for query in some(5, seed=1):
        for k in (1, 10, 77, COUNT, 1000):
            assert same(many.search(query * 3, k=k), expected(many, query, k))
    assert same(many.search("a boat"), expected(many, many.encoder.texts(["a boat"])[0]))


def test_none_wanted_none_found(many):
    assert many.search(some(1)[0], k=0) == many.search(some(1)[0], k=-1) == []
    assert many.search_many(some(3), k=0) == [[], [], []]


@pytest.mark.parametrize("asked", [1, 3, 16, 70])
@pytest.mark.parametrize("among", [Filter(), Filter("/a/")], ids=["all", "some"])
def test_many_at_once_are_found_as_one_by_one(many, asked, among):
    add_film(many, "/a/f.mp4", some(30, seed=3))
    queries = some(asked, seed=1)
    for frames in (False, True):
        several = many.search_many(queries, k=12, among=among, frames=frames)
        assert len(several) == asked
        for query, hits in zip(queries, several, strict=True):
            one = many.search(query, k=12, among=among, frames=frames)
            assert [hit.key for hit in hits] == [hit.key for hit in one]
            assert np.allclose([hit.score for hit in hits], [hit.score for hit in one], atol=1e-6)
            assert [(hit.item, hit.time) for hit in hits] == [(hit.item, hit.time) for hit in one]


def test_many_texts_at_once(many):
    texts = ["a boat", "two boats", "a house by the sea"]
    several = many.search_many(texts)
    for text, hits in zip(texts, several, strict=True):
        assert [hit.key for hit in hits] == [hit.key for hit in many.search(text)]
    assert many.search_many([]) == many.search_many(some(1)[:0]) == []


@pytest.mark.parametrize(
    "queries", ["a boat", ["a boat", " "], [b"x"], np.ones((2, 7)), np.zeros((2, 32)), np.ones(32)]
)
def test_many_wrong_queries_get_a_sentence(many, queries):
    with pytest.raises(UsageError):
        many.search_many(queries)


def test_what_is_new_is_found_and_what_is_gone_is_not(many):
    queries = some(4, seed=1)
    many.search(queries[0])
    add_pictures(many, [f"/new/{place}" for place in range(4)], queries)
    for place, query in enumerate(queries):
        assert many.search(query)[0].key == f"/new/{place}"
        assert same(many.search(query), expected(many, query))
    many.remove(["/new/1", "/new/2"])
    for query in queries:
        assert same(many.search(query), expected(many, query))


def test_equal_scores_come_in_the_order_of_keys(many):
    one = some(1, seed=9)
    many.search(one[0])
    for key in ("/z", "/a/c", "/ü", "/a/B", "/鳥", "/a#t"):  # not in their order
        add_pictures(many, [key], one)
    hits = many.search(one[0], k=6)
    assert [hit.key for hit in hits] == ["/a#t", "/a/B", "/a/c", "/z", "/ü", "/鳥"]
    assert [hit.key for hit in many.search(one[0], k=3)] == ["/a#t", "/a/B", "/a/c"]
    assert [hit.key for hit in many.search_many(np.repeat(one, 20, 0), k=3)[7]] == ["/a#t", "/a/B", "/a/c"]


@pytest.mark.parametrize("among", [Filter(), Filter("/d/")], ids=["all", "some"])
def test_of_very_many_equal_scores_the_first_keys_are_found(photos, way, among):
    if way != "exact":
        pytest.skip("a documented limit of large collections")
    one = some(1, seed=9)
    keys = [f"/d/{place:03}" for place in np.random.default_rng(0).permutation(900)]
    add_pictures(photos, keys, np.repeat(one, 900, 0))
    add_pictures(photos, map(name, range(1500)), some(1500))
    for hits in (
        photos.search(one[0], k=3, among=among),
        photos.search_many(np.repeat(one, 70, 0), k=3, among=among)[7],
    ):
        assert [hit.key for hit in hits] == ["/d/000", "/d/001", "/d/002"]


# Films


def test_a_film_is_found_once_by_its_best_frame_though_hundreds_of_them_score_highest(many):
    query = some(1, seed=1)[0]
    near = query + 0.5 * some(300, seed=2)
    add_film(many, "/f.mp4", near / np.linalg.norm(near, axis=1, keepdims=True))
    hits = many.search(query, k=10)
    assert same(hits, expected(many, query))
    assert [hit.item for hit in hits].count("/f.mp4") == 1
    assert hits[0].item == "/f.mp4"
    assert same(many.search(query, k=30, frames=True), expected(many, query, 30, frames=True))
    assert same(many.search(query, k=1000), expected(many, query, 1000))


def test_a_few_films_that_fill_all_rows_hide_nobody(many):
    """More near frames than are looked at in two rounds: all rows are."""
    query = some(1, seed=1)[0]
    for number in range(3):
        near = query + 0.5 * some(400, seed=2 + number)
        add_film(many, f"/{number}.mp4", near / np.linalg.norm(near, axis=1, keepdims=True))
    assert same(many.search(query), expected(many, query))
    films = expected(many, query, 5, lambda key: key.endswith("mp4"))
    assert len(films) == 3
    assert same(many.search(query, k=5, among=Filter(kind="film")), films)
    own = expected(many, query, 3)[0][0].partition("#")[0]
    keys, rows = many.vectors()
    mean = rows[[place for place, key in enumerate(keys) if key.partition("#")[0] == own]].mean(0)
    assert same(many.search(key=own), expected(many, mean / np.linalg.norm(mean), without=own))


def test_of_equal_frames_the_first_shows_the_film(many):
    one = some(1, seed=9)
    add_film(many, "/f.mp4", np.repeat(one, 5, 0))
    assert many.search(one[0])[0].key == "/f.mp4#t=0.000"
    keys = [hit.key for hit in many.search(one[0], k=5, frames=True)]
    assert keys == [f"/f.mp4#t={second}.000" for second in range(5)]


def test_what_a_film_shows_is_said_where_it_is_asked_for(many):
    query = some(1, seed=1)[0]
    add_film(many, "/f.mp4", np.concatenate([some(6, seed=2), query[None], some(3, seed=3)]))
    (hit,) = many.search(query, k=1, moments=True)
    assert (hit.key, hit.time, hit.moments[0].start, hit.moments[0].end) == ("/f.mp4#t=6.000", 6.0, 6.0, 7.0)
    assert many.search(query, k=1)[0].moments == ()


def test_an_item_is_not_among_its_own_hits(many):
    add_film(many, "/f.mp4", some(40, seed=2))
    keys, rows = many.vectors()
    for key in (name(3), "/f.mp4#t=7.000"):
        query = rows[keys.index(key)]
        wanted = expected(many, query, without=key.partition("#")[0])
        assert same(many.search(key=key), wanted)
        assert len(many.search(key=key, k=1)) == 1
    assert all(hit.item != "/f.mp4" for hit in many.search(key="/f.mp4", k=1000))
    assert len(many.search(key="/f.mp4", k=1000)) == COUNT


def test_hits_say_what_their_sources_said(many):
    add_pictures(many, ["/x"], some(1, seed=9), metadata={"title": "鳥", "tags": ["a", None]})
    assert many.search(some(1, seed=9)[0], k=1)[0].metadata == {"title": "鳥", "tags": ["a", None]}


# Filters


@pytest.mark.parametrize(
    "prefix", ["/a/", "/a/000", "/a/0002.jpg", "/", "a", "/a%", "/_/", "/ä", "/鳥/", "/A/", "/a/\u0000", "/zz"]
)
def test_only_keys_that_begin_so(many, prefix):
    odd = ["/a%/1", "/a%", "/_/1", "/ä/1", "/äb", "/鳥/1", "/鳥", "/A/1", "/é/\U0010ffff", "/äb\U0010fffe"]
    add_pictures(many, odd, some(len(odd), seed=3))
    for query in some(3, seed=1):
        hits = many.search(query, among=Filter(prefix), k=12)
        assert same(hits, expected(many, query, 12, lambda key: key.startswith(prefix)))


def test_only_pictures_or_only_films(many):
    add_film(many, "/f.mp4", some(20, seed=2))
    add_film(many, "/g.mp4", some(20, seed=3))
    query = some(1, seed=1)[0]
    for kind in ("picture", "film"):
        hits = many.search(query, among=Filter(kind=kind))
        assert same(hits, expected(many, query, 10, lambda key, kind=kind: (kind == "film") == key.endswith("mp4")))
    assert len(hits) == 2
    with pytest.raises(UsageError, match="choose picture or film"):
        many.search(query, among=Filter(kind="photo"))
    with pytest.raises(UsageError, match="choose picture or film"):
        many.search_many(query[None], among=Filter(kind="photo"))


def test_only_of_some_time(many):
    for day in range(6):
        add_pictures(many, [f"/day/{day}"], some(1, seed=30 + day), mtime_ns=day * 86_400 * 10**9)
    query = some(1, seed=1)[0]
    day = 86_400.0

    def days(**limits):
        among = Filter("/day/", **limits)
        return sorted(int(hit.key[-1]) for hit in many.search(query, among=among))

    assert days() == [0, 1, 2, 3, 4, 5]
    assert days(after=2 * day) == [2, 3, 4, 5]
    assert days(after=2 * day + 0.5) == [3, 4, 5]
    assert days(before=2 * day) == [1]  # nobody knows when the first was changed
    assert days(after=2 * day, before=4 * day) == [2, 3]
    assert days(after=4 * day, before=4 * day) == []
    assert days(after=-1.0) == [1, 2, 3, 4, 5]


def test_only_what_its_source_says_so_of(many):
    values = ["x", "1923", 1923, 1923.5, True, False, 0, None, "a%", "ü", ["x"], {"x": "x"}, 2024.0, "true", "2024"]
    for place, value in enumerate(values):
        add_pictures(many, [f"/m/{place:02}"], some(1, seed=40 + place), metadata={"a b": value, 'odd"name': place})
    query = some(1, seed=1)[0]

    def found(**metadata):
        hits = many.search(query, among=Filter(metadata=metadata), k=100)
        return [values[place] for place in sorted(int(hit.key[-2:]) for hit in hits)]

    assert found(**{"a b": "x"}) == ["x"]
    assert found(**{"a b": 1923.5}) == [1923.5]
    assert found(**{"a b": "1923"}) == ["1923", 1923]
    assert found(**{"a b": 1923}) == ["1923", 1923]
    assert found(**{"a b": True}) == [True]
    assert found(**{"a b": False}) == [False, 0]
    assert found(**{"a b": "true"}) == [True, "true"]
    assert found(**{"a b": "2024"}) == found(**{"a b": 2024}) == [2024.0, "2024"]
    assert found(**{"a b": "a%"}) == ["a%"]
    assert found(**{"a b": "ü"}) == ["ü"]
    assert found(**{"a b": "nothing"}) == found(other="x") == found(a="x") == []
    assert found(**{'odd"name': 3}) == [1923.5]
    assert found(**{'odd"name': 3, "a b": 1923.5}) == [1923.5]
    assert found(**{'odd"name': 3, "a b": "x"}) == []


def test_filters_together(many):
    add_film(many, "/a/f.mp4", some(30, seed=2))
    among = Filter("/a/", "picture", after=0.0, metadata={})
    for query in some(3, seed=1):
        hits = many.search(query, among=among)
        assert same(hits, expected(many, query, 10, lambda key: key.startswith("/a/") and key.endswith("jpg")))


def test_a_filter_that_lets_few_through_starves_nobody(many):
    query = some(1, seed=1)[0]
    worst = min(expected(many, query, COUNT), key=lambda hit: hit[1])[0]
    assert [hit.key for hit in many.search(query, among=Filter(worst))] == [worst]
    assert [[hit.key for hit in hits] for hits in many.search_many(some(20, seed=1), among=Filter(worst))] == [
        [worst]
    ] * 20


def test_where_a_filter_lets_nothing_through_nothing_is_found(many):
    assert many.search(some(1)[0], among=Filter("/none")) == []
    assert many.search_many(some(2), among=Filter(metadata={"x": "y"})) == [[], []]
    many.remove([key for key in many if key.startswith("/b/")])
    assert many.search(some(1)[0], among=Filter("/b/")) == []


@pytest.mark.parametrize(
    "among",
    [
        Filter("/\udcff"),
        Filter(after=float("inf")),
        Filter(before=1e19),
        Filter(after=float("nan")),
        Filter(metadata={"x": 2**70}),
        Filter(metadata={"x": ["a"]}),
        Filter(metadata={"x": "\udcff"}),
    ],
    ids=["a name in no encoding", "never", "late", "no time", "a large number", "a list", "a text in no encoding"],
)
def test_filters_that_cannot_match_find_nothing_or_get_a_sentence(many, among):
    with suppress(UsageError):
        assert many.search(some(1)[0], among=among) in ([], many.search(some(1)[0]))


def test_metadata_that_are_no_number_hide_nothing(many):
    add_pictures(many, ["/nan"], some(1, seed=8), metadata={"x": float("nan"), "y": "z"})
    add_pictures(many, ["/y"], some(1, seed=9), metadata={"y": "z"})
    with suppress(GlimpseError):
        assert "/y" in {hit.key for hit in many.search(some(1)[0], among=Filter(metadata={"y": "z"}))}
        return
    pytest.fail("nothing can be found")


# When things change meanwhile


def test_an_item_that_another_process_took_out_meanwhile_is_not_found(many, tiny):
    index = index_of(many)
    query = some(1)[0]
    first, second = many.search(query, k=2)
    with Collection(many.path, tiny) as other:
        other.remove(first.key)
    (hits,) = finding.hits(many.store, index, query[None], finding.Wanted(1), Filter())
    assert [hit.key for hit in hits] in ([], [second.key])


def test_what_another_process_put_in_its_place_meanwhile_is_not_taken_for_it(many, tiny, monkeypatch):
    query, named = some(COUNT)[COUNT - 1], many.store.named
    before = expected(many, query, 3)

    def after_another_took_its_number(items):
        with Collection(many.path, tiny) as other:
            other.remove(name(COUNT - 1))
            add_pictures(other, ["/another"], some(1, seed=77))
        return named(items)

    with monkeypatch.context() as patch:
        patch.setattr(many.store, "named", after_another_took_its_number)
        assert same(many.search(query, k=3), before)  # of the moment when it was asked
    assert same(many.search(query, k=3), expected(many, query, 3))


def test_what_another_process_takes_out_meanwhile_starves_nobody(many, tiny, monkeypatch):
    query, named = some(1)[0], many.store.named
    best = many.search(query)[0].item

    def after_it_went(items):
        with Collection(many.path, tiny) as other:
            other.remove(best)
        return named(items)

    monkeypatch.setattr(many.store, "named", after_it_went)
    assert len(many.search(query, k=1)) == 1


def test_a_film_that_is_taken_out_while_its_moments_are_looked_for_is_an_error_of_ours_or_no_hit(
    many, tiny, monkeypatch
):
    add_film(many, "/f.mp4", some(20, seed=2))
    named = many.store.named

    def then_it_goes(items):
        found = named(items)
        with Collection(many.path, tiny) as other:
            other.remove("/f.mp4")
        return found

    monkeypatch.setattr(many.store, "named", then_it_goes)
    with suppress(GlimpseError):
        many.search(some(20, seed=2)[3], moments=True)


def test_rows_that_do_not_say_what_the_collection_says_are_noticed(many, way):
    index = index_of(many)
    if way == "exact":
        pytest.skip("rows in memory were read from the collection itself")
    rows = np.array(index.rows)
    rows[[3, 4]] = rows[[4, 3]]
    index.rows = rows
    with pytest.raises(Untrue):
        finding.hits(many.store, index, some(5)[3:4], finding.Wanted(1), Filter())


def test_items_and_frames_of_one_name(many):
    many.add([Embedding(thing("/odd#t=1.000"), b"x")], some(1, seed=8))
    assert many.search(some(1, seed=8)[0])[0].item == "/odd#t=1.000"
    assert "/odd#t=1.000" not in {hit.key for hit in many.search(key="/odd#t=1.000")}
