import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import unit
from glimpse.search import nearest


def rows_of(seed, n, dim=8):
    return unit(np.random.default_rng(seed).standard_normal((n, dim))).astype(np.float32)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 60), st.integers(1, 70))
def test_nearest_is_a_full_sort_cut_short(seed, n, k):
    rows = rows_of(seed, n)
    rows[n // 2] = rows[0]  # a tie
    keys = [f"{i:03}" for i in np.random.default_rng(seed).permutation(n)]
    query = rows_of(seed + 1, 1)[0]
    scores = rows @ query
    expected = sorted(zip(-scores, keys, strict=True))[:k]
    assert [hit.key for hit in nearest(query, keys, rows, k)] == [key for _, key in expected]


def test_ties_at_the_cut_go_by_key():
    rows = np.tile(np.float32([1, 0]), (5, 1))
    assert [hit.key for hit in nearest(rows[0], list("edcba"), rows, 2)] == ["a", "b"]


def test_nothing_in_nothing_out():
    assert nearest(np.float32([1, 0]), [], np.empty((0, 2), np.float32), 3) == []
    assert nearest(np.float32([1, 0]), ["a"], np.float32([[1, 0]]), 0) == []
