import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brute import halves, is_best, some
from glimpse.search import exact
from glimpse.search.exact import Exact
from glimpse.search.halves import cosines, lengths, unit


def index_of(rows):
    count = len(rows)
    return Exact(unit(rows), np.arange(count) + 1, np.arange(count) + 1, np.full(count, -np.inf))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 99), st.integers(1, 80), st.integers(1, 5), st.integers(1, 90), st.sampled_from([None, 0.5, 0.1]))
def test_it_finds_what_a_plain_search_finds(seed, n, asked, k, share):
    rows, queries = halves(n, 16, seed), some(asked, 16, seed + 100)
    rows[n // 2 :] = rows[: n - n // 2]  # ties
    among = None if share is None else np.random.default_rng(seed).random(n) < share
    index = index_of(rows)
    assert len(index) == n
    for query, found in zip(queries, index.search(queries, k, among), strict=True):
        is_best(found, rows, query, k, among)


def test_queries_are_taken_some_at_a_time(monkeypatch):
    rows, queries = halves(50), some(7, seed=1)
    whole = index_of(rows).search(queries, 5)
    monkeypatch.setattr(exact, "SCORES", 100)
    for (places, scores), (all_places, all_scores) in zip(index_of(rows).search(queries, 5), whole, strict=True):
        assert places.tolist() == all_places.tolist()
        assert np.abs(scores - all_scores).max() < 1e-6


def test_scores_are_of_all_rows():
    rows, query = halves(50), some(1, seed=1)[0]
    scores = index_of(rows).scores(query)
    assert scores.dtype == np.float32
    assert np.abs(scores - cosines(rows, query)).max() < 1e-6


def test_negative_scores_are_found_as_well():
    rows, query = halves(20), some(1)
    rows = -np.abs(rows)
    is_best(index_of(rows).search(np.abs(query), 3)[0], rows, np.abs(query)[0], 3)


def test_rows_get_back_the_length_that_rounding_took():
    rows = halves(100, 64)
    assert np.abs(lengths(unit(rows)) - 1).max() < 1e-6
    assert np.abs(lengths(rows.astype(np.float32)) - 1).max() > 1e-6
    query = some(1, 64, seed=1)[0]
    assert cosines(rows, query) == pytest.approx(unit(rows) @ query, abs=1e-6)
