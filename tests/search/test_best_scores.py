import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from glimpse.search import ranking


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 60), st.integers(1, 70))
def test_the_best_are_a_full_sort_cut_short_where_nothing_ties(seed, n, k):
    scores = np.random.default_rng(seed).integers(0, 20, n).astype(np.float32)  # many ties
    order = np.lexsort((np.arange(n), -scores))
    found = ranking.best(scores, k)
    assert list(found) == list(order[: len(found)])
    assert len(found) >= min(k, n)
    assert (scores[found[k:]] == scores[order[min(k, n) - 1]]).all()  # what is more ties with the last
    assert len(found) == n or scores[order[len(found)]] < scores[found[-1]]


def test_none_wanted_none_found():
    assert len(ranking.best(np.float32([1.0]), 0)) == len(ranking.best(np.float32([1.0]), -1)) == 0
    assert len(ranking.best(np.float32([]), 3)) == 0


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1000), st.lists(st.integers(0, 9), min_size=1, max_size=6), st.integers(1, 12))
def test_the_top_of_blocks_is_the_top_of_all(seed, widths, k):
    numbers = np.random.default_rng(seed)
    blocks = [numbers.integers(-3, 3, (3, width)).astype(np.float32) for width in [*widths, 1]]
    every = np.concatenate(blocks, 1)
    places, scores = ranking.top(blocks, k)
    order = np.argsort(-every, 1, kind="stable")[:, :k]
    count = order.shape[1]
    assert (places[:, :count] == order).all()
    assert (scores[:, :count] == np.take_along_axis(every, order, 1)).all()
    assert (places[:, count:] == ranking.NOWHERE).all()
    assert np.isneginf(scores[:, count:]).all()


def test_what_is_no_number_is_never_at_the_top():
    places, scores = ranking.top([np.float32([[np.nan, 0.5], [np.nan, np.nan]])], 2)
    assert places.tolist() == [[1, -1], [-1, -1]]
    assert scores[0].tolist() == [0.5, -np.inf]
