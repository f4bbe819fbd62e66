import math

import pytest
from automm_goldens import plain
from hypothesis import given, settings
from hypothesis import strategies as st

from glimpse.automm import compute_ranking_score
from glimpse.errors import UsageError

GRADED = ({"q": {"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.6}}, {"q": {"a": 1, "b": 3, "c": 0, "d": 2}})


@pytest.mark.parametrize("name", ["binary", "graded"])
def test_autogluons_variants_are_autogluons(name):
    results, relevance = plain()["rankings"][name]
    found = compute_ranking_score(results, relevance, metrics="automm", cutoffs=plain()["cutoffs"])
    assert found == plain()["scores"][name]


def test_gains_are_graded():
    found = compute_ranking_score(*GRADED, metrics="ndcg", cutoffs=[2, 4])
    discounts = [1 / math.log2(place + 1) for place in range(1, 5)]
    assert found["ndcg@2"] == pytest.approx(
        (1 * discounts[0] + 3 * discounts[1]) / (3 * discounts[0] + 2 * discounts[1])
    )
    whole = sum(gain * weight for gain, weight in zip([1, 3, 0, 2], discounts, strict=True))
    ideal = sum(gain * weight for gain, weight in zip([3, 2, 1], discounts, strict=False))
    assert found["ndcg@4"] == pytest.approx(whole / ideal)
    assert whole / ideal != pytest.approx(
        compute_ranking_score(*GRADED, metrics="automm", cutoffs=[4])["ndcg@4"], abs=1e-3
    )


def test_map_does_not_depend_on_how_high_the_scores_are():
    found = compute_ranking_score(*GRADED, metrics=["map", "MRR", "recall", "precision"], cutoffs=[4])
    assert found["map@4"] == pytest.approx((1 / 1 + 2 / 2 + 3 / 4) / 3)
    low = {"q": {response: score / 10 for response, score in GRADED[0]["q"].items()}}
    assert compute_ranking_score(low, GRADED[1], cutoffs=[4])["map@4"] == found["map@4"]
    assert found["mrr@4"] == 1
    assert found["recall@4"] == 1
    assert found["precision@4"] == 0.75


def test_mrr_is_of_the_first_hit_within_the_cutoff():
    results, relevance = {"q": {"a": 3, "b": 2, "c": 1}}, {"q": {"c": 1}}
    found = compute_ranking_score(results, relevance, "mrr", [2, 3])
    assert found == {"mrr@2": 0, "mrr@3": pytest.approx(1 / 3)}


def test_a_query_without_relevant_responses_counts_as_0_and_is_told_of():
    results = {"q": {"a": 1}, "r": {"a": 1}}
    with pytest.warns(UserWarning, match="1 of 2 queries"):
        found = compute_ranking_score(results, {"q": {"a": 1}, "r": {"a": 0}}, cutoffs=[1])
    assert set(found.values()) == {0.5}


def test_a_query_that_found_nothing_counts_as_0():
    found = compute_ranking_score({"q": {"a": 1}}, {"q": {"a": 1}, "r": {"a": 1}}, "recall", [1])
    assert found == {"recall@1": 0.5}


@given(st.permutations(range(6)), st.lists(st.integers(0, 3), min_size=6, max_size=6), st.integers(1, 8))
@settings(max_examples=100, deadline=None)
def test_scores_lie_between_0_and_1_and_a_perfect_ranking_has_1(order, gains, k):
    relevance = {"q": dict(enumerate(gains))}
    if any(gains):
        found = compute_ranking_score({"q": {name: -place for place, name in enumerate(order)}}, relevance, cutoffs=[k])
        assert all(0 <= score <= 1 + 1e-12 for score in found.values())
        perfect = compute_ranking_score({"q": dict(enumerate(gains))}, relevance, ["ndcg", "map", "mrr"], [k])
        assert list(perfect.values()) == pytest.approx([1, 1, 1])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (({}, {}), "qrel_dict is empty"),
        ((*GRADED, "ndgc"), "choose from ndcg"),
        ((*GRADED, None, [0]), "from 1"),
        ((*GRADED, None, []), "from 1"),
    ],
)
def test_wrong_questions(arguments, sentence):
    with pytest.raises(UsageError, match=sentence):
        compute_ranking_score(*arguments)
