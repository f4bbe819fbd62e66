from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brute import halves, is_best, some
from conftest import unit
from glimpse.search import products


@pytest.fixture
def small(monkeypatch):
    """Few rows are many blocks, a few queries are many."""
    monkeypatch.setattr(products, "BLOCK", 64)
    monkeypatch.setattr(products, "TOGETHER", 8)
    products._product.cache_clear()
    yield
    products._product.cache_clear()


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 99),
    st.integers(1, 300),
    st.integers(1, 5),
    st.integers(1, 310),
    st.sampled_from([None, 0.5, 0.1, 0]),
)
def test_it_finds_what_a_plain_search_finds(seed, n, asked, k, share):
    rows, queries = halves(n, 16, seed), some(asked, 16, seed + 100)
    rows[n - n // 10 :] = rows[: n // 10]  # ties
    among = None if share is None else np.random.default_rng(seed).random(n) < share
    picked = None if among is None else np.flatnonzero(among)
    for query, found in zip(queries, products.nearest(rows, queries, k, picked), strict=True):
        is_best(found, rows, query, k, among)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("n", [63, 64, 65, 128, 500, 999])
@pytest.mark.parametrize("asked", [1, 2, 3, 8, 9, 17])
def test_so_it_does_in_whole_and_partial_blocks_for_any_number_of_queries(n, asked):
    rows, queries = halves(n, 32, n), some(asked, 32, asked)
    rows[n // 2 : n // 2 + 20] = rows[:20]
    among = np.arange(n) % 5 != 2
    for mask in (None, among):
        picked = None if mask is None else np.flatnonzero(mask)
        for query, found in zip(queries, products.nearest(rows, queries, 10, picked), strict=True):
            is_best(found, rows, query, 10, mask)


@pytest.mark.usefixtures("small")
def test_negative_scores_are_found_as_well():
    rows, queries = -np.abs(halves(200)), np.abs(some(3))
    for query, found in zip(queries, products.nearest(rows, queries, 5), strict=True):
        is_best(found, rows, query, 5)


@pytest.mark.usefixtures("small")
def test_what_bfloat16_gets_wrong_is_made_good():
    """Rows of one narrow cluster, whose scores differ by less than the error of a product in bfloat16."""
    rows = (halves(1, 64).astype(np.float32) + 0.002 * some(900, 64, seed=1)).astype(np.float16)
    queries = some(4, 64, seed=2)
    for query, (_, scores) in zip(queries, products.nearest(rows, queries, 10), strict=True):
        wide = rows.astype(np.float64)
        best = np.sort(wide @ query / np.linalg.norm(wide, axis=1))[::-1][:10]
        assert np.abs(scores[:10] - best).max() < 5e-4


def test_rows_unlike_those_that_are_looked_at_for_their_range_are_told_apart(monkeypatch):
    monkeypatch.setattr(products, "SAMPLE", 5000)  # every fourth
    queries = some(4, 64, seed=2)
    close = some(1, 64, seed=3) + 0.1 * some(20_000, 64, seed=4)
    odd = np.arange(1, 4000, 4)  # every other one but those that are looked at
    close[odd] = some(len(odd), 64, seed=5)
    rows = (close / np.linalg.norm(close, axis=1, keepdims=True)).astype(np.float16)
    for query, found in zip(queries, products.nearest(rows, queries, 10), strict=True):
        is_best(found, rows, query, 10)


def test_among_very_many_that_are_nearly_the_same_the_best_are_found(monkeypatch):
    """A camera that sees nothing move: what tells its rows apart is less than what eight bits err by."""
    numbers = np.random.default_rng(0)
    noise = numbers.standard_normal((20_000, 64)) / 8
    still = some(1, 64, seed=3) + 0.02 * noise
    rows = np.concatenate([some(20_000, 64), still / np.linalg.norm(still, axis=1, keepdims=True)]).astype(np.float16)
    near = unit(some(1, 64, seed=3) + 0.3 * some(20, 64, seed=4)).astype(np.float32)
    queries = np.concatenate([some(20, 64, seed=2), near])
    scanned, scan = [], products.scan.nearest
    monkeypatch.setattr(products.scan, "nearest", lambda *how: scanned.append(how) or scan(*how))
    products.nearest(rows[:20_000], queries, 10)
    assert not scanned
    among = np.arange(len(rows)) % 2 == 1
    for mask, picked in ((None, None), (among, np.flatnonzero(among))):
        for query, found in zip(queries, products.nearest(rows, queries, 10, picked), strict=True):
            is_best(found, rows, query, 10, mask)
    assert scanned  # where guesses are too coarse


def test_nobody_asks_nothing_is_found():
    assert products.nearest(halves(5), some(1)[:0], 3) == []


@pytest.mark.usefixtures("small")
def test_two_threads_may_ask_at_once():
    rows, queries = halves(20_000, 64), some(8, 64, seed=1)
    whole = products.nearest(rows, queries, 3)
    with ThreadPoolExecutor(4) as pool:
        several = list(pool.map(lambda _: products.nearest(rows, queries, 3), range(16)))
    assert all(
        (places == expected).all() for found in several for (places, _), (expected, _) in zip(found, whole, strict=True)
    )
