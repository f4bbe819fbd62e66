import numpy as np
import pytest

from brute import cosines, halves, pictures_and_texts, some
from glimpse.search import codes, recall
from glimpse.search.codes import Codes


def test_there_are_two_hundred_captions_of_all_sorts():
    texts = recall.captions()
    assert len(texts) == len(set(texts)) == 200
    assert all(text == text.strip() and len(text) > 2 for text in texts)


def share_found(made, rows, queries, depth, candidates, probes=0):
    """Measured anew, by sorting everything."""
    shares = []
    for query in queries:
        turned = made.turn.queries(query[None])
        offered = np.concatenate(
            [made.candidates(number, turned, candidates, probes)[0] for number in range(len(made.shards))]
        )
        shares.append(np.isin(np.argsort(-cosines(rows, query), kind="stable")[:depth], offered).mean())
    return np.mean(shares)


@pytest.mark.parametrize("lists", [0, 20])
@pytest.mark.parametrize("least", [10_000, 400])
def test_what_is_said_is_true_when_it_is_measured_anew(least, lists, monkeypatch):
    monkeypatch.setattr(codes, "LEAST_IN_SHARD", least)
    monkeypatch.setattr(recall, "PROBED", (0.05, 0.5, 1))
    rows, queries = pictures_and_texts(2000, 120)
    made = Codes.made(rows, queries[:80], lists)
    found = recall.reaches(made, rows, queries[80:])
    assert [reach.depth for reach in found] == [10, 100]
    for reach in found:
        assert reach.recall >= recall.WANTED
        assert reach.candidates < 2000
        found_now = share_found(made, rows, queries[80:], reach.depth, reach.candidates, reach.probes)
        assert found_now == pytest.approx(reach.recall, abs=1e-3)


def test_fewer_candidates_would_not_do(monkeypatch):
    monkeypatch.setattr(recall, "_LADDER", [4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128, 181, 256, 362, 512, 724, 1024])
    rows, queries = pictures_and_texts(2000, 120)
    made = Codes.made(rows, queries[:80])
    ten, hundred = recall.reaches(made, rows, queries[80:])
    assert ten.candidates < hundred.candidates
    for reach in (ten, hundred):
        two_steps_less = recall._LADDER[recall._LADDER.index(reach.candidates) - 2]
        assert share_found(made, rows, queries[80:], reach.depth, two_steps_less) < recall.WANTED


def test_codes_that_find_too_little_serve_for_nothing(monkeypatch):
    monkeypatch.setattr(recall, "WIDEST", 12)
    monkeypatch.setattr(recall, "_LADDER", [6, 8, 12])
    rows, queries = pictures_and_texts(2000, 40)
    assert recall.reaches(Codes.made(rows, queries[:20]), rows, queries[20:]) == []


def test_of_equal_rows_any_will_do():
    """Which of very many equal rows codes name says nothing about what they find."""
    rows, queries = pictures_and_texts(2000, 60)
    rows = np.repeat(rows[:20], 100, 0)
    made = Codes.made(rows, queries[:30])
    found = recall.reaches(made, rows, queries[30:])
    assert [reach.depth for reach in found] == [10, 100]
    assert all(reach.recall == 1 for reach in found)


def test_nothing_is_said_where_nobody_asked_or_where_there_are_too_few_rows():
    rows, queries = halves(90), some(40, seed=1)
    made = Codes.made(rows, queries)
    assert recall.reaches(made, rows, queries[:0]) == []
    assert [reach.depth for reach in recall.reaches(made, rows, queries)] == [10]
    assert recall.reaches(Codes.made(rows[:10], queries), rows[:10], queries) == []
