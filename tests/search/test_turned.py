import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brute import pictures_and_texts, some
from glimpse.search.halves import unit
from glimpse.search.turned import fitted


def products_of(turn, rows, queries):
    """What is compared in the new coordinates: float64 (n, q)."""
    return turn.rows(rows).astype(np.float64) @ turn.queries(queries).T


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 99), st.integers(20, 200), st.integers(0, 40))
def test_products_stay_but_for_a_constant_of_each_query(seed, n, asked):
    halves, queries = pictures_and_texts(n, asked + 3, 24, seed)
    rows = unit(halves)
    turn = fitted(rows, queries[:asked])
    difference = products_of(turn, rows, queries) - rows.astype(np.float64) @ queries.T
    assert np.ptp(difference, axis=0).max() < 1e-4
    assert difference.mean(0) == pytest.approx(-(queries @ turn.centre), abs=1e-4)


def test_lengths_are_less_after_it():
    """The error of a code grows with the length of a row times that of a query."""
    halves, queries = pictures_and_texts(2000, 200)
    rows = unit(halves)
    lengths = [
        np.square(turn.rows(rows)).sum(1).mean() * np.square(turn.queries(queries[100:])).sum(1).mean()
        for turn in (fitted(rows, queries[:100]), fitted(rows, queries[:0]))
    ]
    assert lengths[0] < 0.8 * lengths[1]


def test_it_is_the_same_every_time():
    rows, queries = some(50), some(20, seed=1)
    assert (fitted(rows, queries).for_rows == fitted(rows, queries).for_rows).all()


FLAT = np.hstack([some(60, 8), np.zeros((60, 8), np.float32)])
DEGENERATE = {
    "rows that are all the same": (np.repeat(some(1, 16), 60, 0), some(20, 16)),
    "directions in which rows do not differ": (FLAT, some(20, 16)),
    "directions that nobody asks for": (FLAT, np.roll(FLAT[:20], 8, 1)),
    "fewer rows than directions": (some(5, 16), some(20, 16)),
    "one row": (some(1, 16), some(20, 16)),
    "two rows": (some(2, 16), some(20, 16)),
    "no query": (some(60, 16), some(0, 16)),
    "one query": (some(60, 16), some(1, 16)),
    "two queries": (some(60, 16), some(2, 16)),
    "the same query again and again": (some(60, 16), np.repeat(some(1, 16), 20, 0)),
}


@pytest.mark.parametrize("what", DEGENERATE)
def test_odd_rows_and_queries_give_finite_coordinates(what):
    rows, queries = DEGENERATE[what]
    turn = fitted(rows, queries)
    assert all(np.isfinite(part).all() for part in (turn.centre, turn.for_rows, turn.for_queries))
    difference = products_of(turn, rows, some(3, 16, 9)) - rows @ some(3, 16, 9).T
    assert np.ptp(difference, axis=0).max() < 1e-3
