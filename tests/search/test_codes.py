from itertools import pairwise

import numpy as np
import pytest

from brute import halves, pictures_and_texts, some
from glimpse.search import codes, products
from glimpse.search.codes import Codes

SHAPES = pytest.mark.parametrize("count", [0, 5], ids=["flat", "lists"])


@pytest.fixture(params=[1, 3], ids=["one shard", "three shards"])
def shards(request, monkeypatch):
    """Rows are dealt to so many shards."""
    monkeypatch.setattr(codes, "LEAST_IN_SHARD", 40)
    monkeypatch.setattr(codes, "FOR_EACH_LIST", 40)
    monkeypatch.setattr(codes, "cores", lambda: request.param)
    return request.param


def offered(made, query, count):
    """What each shard names, place by place, with all of its lists scanned."""
    turned = made.turn.queries(query[None])
    return [made.candidates(number, turned, count, len(made.centroids))[0] for number in range(len(made.shards))]


def recall(made, rows, queries, count):
    """The share of the best ten rows that are among so many candidates."""
    exact = [places[:10] for places, _ in products.nearest(rows, queries, 10)]
    found = [np.concatenate(offered(made, query, count)) for query in queries]
    return np.mean([np.isin(best, there).mean() for best, there in zip(exact, found, strict=True)])


def stand_where_they_belong(made, rows):
    """Row i is in shard i % shards, and names its own place first."""
    shards = len(made.shards)
    assert len(made) == len(rows)
    for number, places in enumerate(offered(made, rows[0].astype(np.float32), len(rows))):
        there = places[places >= 0]
        assert sorted(there.tolist()) == list(range(number, len(rows), shards))
        assert (places[len(there) :] == -1).all()
    turned = made.turn.queries(rows.astype(np.float32))
    for number in range(shards):
        firsts = made.candidates(number, turned, 1, len(made.centroids))[:, 0]
        assert firsts[number::shards].tolist() == list(range(number, len(rows), shards))


@SHAPES
def test_a_row_is_in_its_shard_at_its_place(shards, count):
    rows = halves(240)
    made = Codes.made(rows, some(20, seed=1), count)
    assert (len(made.shards), len(made.centroids)) == (shards, count)
    stand_where_they_belong(made, rows)


@SHAPES
@pytest.mark.usefixtures("shards")
@pytest.mark.parametrize("pieces", [(230, 11), (200, 3, 4, 34), (231, 0, 10)])
def test_rows_added_in_pieces_are_where_rows_made_at_once_are(pieces, count):
    rows, edges = halves(241), np.cumsum((0, *pieces))
    grown = Codes.made(rows[: pieces[0]], some(20, seed=1), count)
    for start, stop in pairwise(edges[1:]):
        grown.add(rows[start:stop])
    stand_where_they_belong(grown, rows)


@SHAPES
@pytest.mark.usefixtures("shards")
@pytest.mark.parametrize("more", [1, 2])
def test_so_they_are_where_there_are_fewer_of_them_than_shards(more, count):
    rows = halves(240 + more)
    grown = Codes.made(rows[:240], some(20, seed=1), count)
    grown.add(rows[240:])
    stand_where_they_belong(grown, rows)


@SHAPES
def test_more_rows_than_are_coded_at_a_time(shards, count, monkeypatch):
    monkeypatch.setattr(codes, "BLOCK", 70)
    rows = halves(240)
    made = Codes.made(rows, some(20, seed=1), count)
    assert len(made.shards) == shards
    stand_where_they_belong(made, rows)


@SHAPES
@pytest.mark.usefixtures("shards")
def test_arrays_say_all_there_is(count):
    rows, queries = halves(251), some(20, seed=1)
    made = Codes.made(rows[:203], queries, count)
    again = Codes.from_arrays({name: array.copy() for name, array in made.arrays().items()})
    for more in (rows[:0], rows[203:]):  # as it is, and when both go on from there
        made.add(more)
        again.add(more)
        assert len(again) == len(made)
        for query in queries[:5]:
            for one, other in zip(offered(made, query, 40), offered(again, query, 40), strict=True):
                assert one.tolist() == other.tolist()
    stand_where_they_belong(again, rows)


FLAT = {
    "centre": np.zeros((2, 16), np.float32),
    "for_rows": np.eye(32),
    "for_queries": np.eye(16, dtype=np.float32),
    "centroids": np.zeros((0, 16), np.float32),
    "shards": np.asarray(2),
    "middle-0": np.zeros(31, np.float32),
    "codes-0": np.zeros(77, np.uint8),
    "count-0": np.asarray(10**6),
}
LISTS = {
    "centroids": np.zeros((6, 32), np.float32),
    "sizes-0": np.full(5, 16),
    "codes-0": np.zeros(77, np.uint8),
    "places-0": np.arange(79),
}
MORE = [
    (0, "shards", np.asarray(0)),
    (0, "count-0", np.asarray(40)),
    (0, "codes-0", np.zeros(160, np.int8)),
    (0, "middle-0", np.zeros(32)),
    (5, "sizes-0", np.asarray([100, -5, -5, -5, -5])),
    (5, "places-0", np.arange(80) + 1),
    (5, "places-0", np.arange(80) - 1),
]
WRONG = [
    *[(0, *pair) for pair in FLAT.items()],
    *[(5, *pair) for pair in LISTS.items()],
    *[(0, name, None) for name in FLAT],
    *[(5, name, None) for name in LISTS if name != "centroids"],
    *MORE,
]


@pytest.mark.parametrize(("count", "name", "array"), WRONG)
def test_arrays_that_do_not_fit_together_are_refused(count, name, array, monkeypatch):
    monkeypatch.setattr(codes, "FOR_EACH_LIST", 16)
    made = Codes.made(halves(200 if count else 80), some(20, seed=1), count)
    arrays = {key: one for key, one in made.arrays().items() if key != name}
    with pytest.raises((ValueError, KeyError)):
        Codes.from_arrays(arrays if array is None else arrays | {name: array})


def test_arrays_are_good_after_the_codes_are_gone():
    array = Codes.made(halves(80), some(20, seed=1)).arrays()["codes-0"]
    while array.base is not None and isinstance(array.base, np.ndarray):
        array = array.base
    assert array.flags.owndata


def test_coordinates_fitted_to_queries_find_more_than_turned_ones():
    rows, queries = pictures_and_texts(3000, 300)
    fitted, turned = Codes.made(rows, queries[:200]), Codes.made(rows, queries[:0])
    held = queries[200:]
    assert recall(fitted, rows, held, 40) > recall(turned, rows, held, 40) + 0.05
    assert recall(fitted, rows, held, 500) > 0.95


def test_rows_that_are_all_the_same_are_coded():
    rows = np.repeat(halves(1), 100, 0)
    made = Codes.made(rows, some(20, seed=1))
    assert sorted(offered(made, rows[0].astype(np.float32), 100)[0].tolist()) == list(range(100))
