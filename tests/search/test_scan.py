import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brute import halves, is_best, some
from glimpse.search import scan


@pytest.fixture(params=[1, 3])
def parts(request, monkeypatch):
    """Rows are divided among so many cores."""
    monkeypatch.setattr(scan, "LEAST", 10)
    monkeypatch.setattr(scan, "cores", lambda: request.param)


@settings(max_examples=60, deadline=None)
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
    for query, found in zip(queries, scan.nearest(rows, queries, k, among), strict=True):
        is_best(found, rows, query, k, among)


@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize("n", [1, 2, 3, 29, 31, 100])
def test_so_it_does_on_several_cores(n):
    rows, queries = halves(n), some(3, seed=1)
    among = np.arange(n) % 3 != 1
    for mask in (None, among):
        for query, found in zip(queries, scan.nearest(rows, queries, 7, mask), strict=True):
            is_best(found, rows, query, 7, mask)


def test_negative_scores_are_found_as_well():
    rows, query = -np.abs(halves(40)), np.abs(some(1))
    is_best(scan.nearest(rows, query, 5)[0], rows, query[0], 5)


def test_rows_on_the_disk_stay_there(tmp_path):
    rows = halves(500)
    rows.tofile(tmp_path / "x.rows")
    mapped = np.memmap(tmp_path / "x.rows", np.float16, "r", shape=rows.shape)
    query = some(1, seed=1)
    is_best(scan.nearest(mapped, query, 10)[0], rows, query[0], 10)


def test_equal_rows_are_found_in_the_order_of_places_however_far_apart_they_stand():
    rows, one = halves(400), halves(1, seed=9)
    same = np.arange(7, 400, 40)
    rows[same] = one
    places, scores = scan.nearest(rows, one.astype(np.float32), 4)[0]
    assert places.tolist() == same.tolist()  # more than were asked for, for they tie
    assert len(set(scores.tolist())) == 1
