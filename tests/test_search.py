from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from glimpse.search import moments, nearest


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 60), st.integers(1, 70))
def test_nearest_is_a_full_sort_cut_short(seed, n, k):
    numbers = np.random.default_rng(seed)
    scores = numbers.integers(0, 20, n).astype(np.float32)  # many ties
    firsts = np.unique([0, *numbers.integers(0, n, n // 3)])
    starts = np.append(firsts, n)
    best = [scores[first:last].max() for first, last in pairwise(starts)]
    expected = sorted(range(len(best)), key=lambda item: (-best[item], item))[:k]
    items, rows = nearest(scores, starts, k)
    assert list(items) == expected
    assert [scores[row] for row in rows] == [best[item] for item in items]
    assert all(starts[item] <= row < starts[item + 1] for item, row in zip(items, rows, strict=True))


def test_nothing_in_nothing_out():
    for scores, k in (([], 3), ([1.0], 0)):
        items, rows = nearest(np.float32(scores), np.arange(len(scores) + 1), k)
        assert len(items) == len(rows) == 0


def test_a_moment_lasts_until_the_next_frame_or_the_end():
    times = np.float64([0, 4, 8, 12])
    assert moments(np.float32([0.1, 0.1, 0.1, 0.5]), times, 20.0) == [(12.0, 20.0, 3)]
    assert moments(np.float32([0.5, 0.1, 0.1, 0.1]), times, 20.0) == [(0.0, 4.0, 0)]
    assert moments(np.float32([0.1, 0.1, 0.1, 0.5]), times, -1.0) == [(12.0, 12.0, 3)]


def test_a_film_that_is_the_same_all_through_is_one_moment():
    assert moments(np.float32([0.3, 0.3]), np.float64([0, 5]), 7.0) == [(0.0, 7.0, 0)]
    assert moments(np.float32([0.3]), np.float64([0]), 7.0) == [(0.0, 7.0, 0)]
