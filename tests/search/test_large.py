from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brute import cosines, halves, is_best, pictures_and_texts, some
from glimpse.search import Untrue, codes, large, recall
from glimpse.search.codes import Codes
from glimpse.search.files import FACTS
from glimpse.search.large import Large

NONE = np.empty(0, np.int64)
REACHES = (recall.Reach(10, 64, 1.0), recall.Reach(100, 300, 1.0))


@pytest.fixture(autouse=True)
def shards(monkeypatch):
    """A few hundred rows are dealt to three shards."""
    monkeypatch.setattr(codes, "LEAST_IN_SHARD", 100)
    monkeypatch.setattr(codes, "cores", lambda: 3)


def facts_of(count):
    facts = np.zeros(count, FACTS)
    facts["frame"] = np.arange(count) + 5
    facts["item"] = np.arange(count) // 2
    facts["time"] = -np.inf
    return facts


def index_of(rows, dead=NONE, coded=None, reaches=REACHES):
    made = Codes.made(rows[:coded], some(20, rows.shape[1], seed=5)) if coded else None
    return Large(rows, facts_of(len(rows)), dead, made, reaches)


def without(count, dead):
    mask = np.ones(count, np.bool_)
    mask[dead] = False
    return mask


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 99), st.sampled_from([1, 3, 16, 70]), st.integers(1, 220), st.integers(0, 30), st.booleans())
def test_whichever_way_is_taken_it_finds_what_a_plain_search_finds(seed, asked, k, gone, filtered):
    rows, queries = halves(400, 16, seed), some(asked, 16, seed + 100)
    numbers = np.random.default_rng(seed)
    dead = np.sort(numbers.choice(400, gone, replace=False))
    among = numbers.random(400) < 0.3 if filtered else None
    index = index_of(rows, dead)
    alive = without(400, dead) if among is None else among & without(400, dead)
    assert len(index) == 400 - gone
    for query, found in zip(queries, index.search(queries, k, among), strict=True):
        is_best(found, rows, query, k, alive)


@pytest.mark.parametrize("k", [1, 10, 60])
@pytest.mark.parametrize("coded", [300, 385, 400])
def test_by_codes_and_tail_it_finds_what_a_plain_search_finds(k, coded):
    rows, texts = pictures_and_texts(400, 60)
    rows[390:395] = rows[100:105]  # equal ones among what has codes and what has not
    made = Codes.made(rows[:coded], texts[:30])
    reaches = recall.reaches(made, rows[:coded], texts[30:])
    index = Large(rows, facts_of(400), NONE, made, reaches)
    for query in texts[30:]:
        is_best(index.search(query[None], k)[0], rows, query, k)


def test_equal_rows_have_equal_scores_with_codes_and_without():
    rows = halves(400, 64)
    rows[320:] = rows[:80]
    index = index_of(rows, coded=320, reaches=[recall.Reach(400, 320, 1.0)])
    for query in some(20, 64, seed=1):
        places, scores = index.search(query[None], 400)[0]
        of = np.empty(400, np.float32)
        of[places] = scores
        assert (of[320:] == of[:80]).all()


def test_only_candidates_are_compared_where_codes_serve():
    rows = halves(400)
    index = index_of(rows, coded=400, reaches=[recall.Reach(10, 1, 1.0)])
    query = some(1, seed=1)
    places, _ = index.search(query, 10)[0]
    assert len(places) == 3  # one of each shard: whoever says that one is enough is believed
    assert len(index.search(query, 11)[0][0]) == 11  # nobody has measured so many
    assert len(index.search(query, 10, np.ones(400, np.bool_))[0][0]) == 10  # codes know no filters


def test_codes_that_serve_for_nothing_are_left_alone():
    rows, query = halves(400), some(1, seed=1)
    is_best(index_of(rows, coded=400, reaches=()).search(query, 10)[0], rows, query[0], 10)


def test_scores_are_of_all_rows_and_of_those_that_are_gone_the_worst(monkeypatch):
    monkeypatch.setattr(large, "BLOCK", 70)
    rows, query = halves(400), some(1, seed=1)[0]
    scores = index_of(rows, np.asarray([3, 211]), 300).scores(query)
    assert scores.dtype == np.float32
    assert np.isneginf(scores[[3, 211]]).all()
    alive = without(400, [3, 211])
    assert np.abs(scores - cosines(rows, query))[alive].max() < 1e-6


@pytest.mark.parametrize("gone", [20, 40, 60])
def test_where_more_than_a_tenth_of_the_candidates_are_gone_all_rows_are_compared(gone):
    rows, query = halves(400), some(1, seed=1)
    index = index_of(rows, coded=400, reaches=[recall.Reach(10, 100, 1.0)])
    turned = index.codes.turn.queries(query)
    offered = np.concatenate([index.codes.candidates(number, turned, 100)[0] for number in range(3)])
    dead = np.sort(offered[:gone])
    asked = []
    gone_now = index_of(rows, dead, 400, [recall.Reach(10, 100, 1.0)])
    by_rows = gone_now._by_rows
    gone_now._by_rows = lambda *how: asked.append(how) or by_rows(*how)
    gone_now.search(query, 10)
    assert bool(asked) == (gone > large.MOST_DEAD * len(offered))


@pytest.mark.parametrize("gone", [1, 10, 30, 200, 300])
def test_the_best_being_gone_starves_nobody(gone):
    rows, texts = pictures_and_texts(400, 60)
    made = Codes.made(rows, texts[:30])
    reaches = recall.reaches(made, rows, texts[30:])
    assert reaches
    for query in texts[30:]:
        dead = np.sort(np.argsort(-cosines(rows, query))[:gone])
        index = Large(rows, facts_of(400), dead, made, reaches)
        is_best(index.search(query[None], 10)[0], rows, query, 10, without(400, dead))


def test_a_filter_that_lets_one_row_through_finds_it():
    rows, query = halves(400), some(1, seed=1)
    for asked in (1, large.MANY):
        among = np.arange(400) == 211
        for places, _ in index_of(rows, coded=400).search(np.repeat(query, asked, 0), 10, among):
            assert places.tolist() == [211]


def test_a_filter_is_not_changed_by_what_is_gone():
    rows, query = halves(400), some(1, seed=1)
    among = np.ones(400, np.bool_)
    index_of(rows, np.asarray([3, 4])).search(query, 10, among)
    assert among.all()


def test_it_says_what_its_rows_are_of():
    rows = halves(20)
    index = index_of(rows)
    assert index.frames[3] == 8
    assert index.items[3] == 1
    assert np.isneginf(index.times[3])
    assert index.has(3, rows[3].tobytes())
    assert not index.has(3, rows[4].tobytes())


@pytest.mark.parametrize("strange", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("k", [1, 10])
@pytest.mark.parametrize("coded", [None, 300, 400])
def test_a_damaged_row_that_is_no_number_is_noticed_or_takes_nobodys_place(coded, k, strange):
    rows, query = halves(400), some(1, seed=1)
    broken = rows.copy()
    broken[350, 0] = strange
    index = index_of(rows, coded=coded, reaches=[recall.Reach(10, 300, 1.0)])
    index.rows = broken
    with suppress(Untrue):
        is_best(index.search(query, k)[0], rows, query[0], k, without(400, [350]))


def test_a_row_of_nothing_is_noticed():
    broken = halves(400)
    broken[7] = 0
    with pytest.raises(Untrue):
        index_of(broken, reaches=()).search(-np.abs(some(1)), 400)
