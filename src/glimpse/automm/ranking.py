"""How good a ranking is: NDCG, MAP, MRR, recall and precision at cutoffs, as trec_eval has them; or as AutoGluon has them.

Knows no vectors: scores by name against relevance by name.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from glimpse.automm.notices import warn
from glimpse.errors import UsageError

Scores = Mapping[Any, Mapping[Any, float]]  # query → response → score, or relevance
CUTOFFS = (5, 10, 20)
AUTOMM = "automm"
_AUTOMM_NAMES = ("ndcg", "map", "recall", "precision")
_AUTOMM_DIGITS = 5


def compute_ranking_score(
    results: Scores,
    qrel_dict: Scores,
    metrics: str | Sequence[str] | None = None,
    cutoffs: Sequence[int] = CUTOFFS,
) -> dict[str, float]:
    """Say how good rankings are, averaged over the queries of `qrel_dict`.

    A query without a ranking, or without a relevant response, counts as 0 (the latter with a warning).

    Args:
        results: query → response → score; a higher score is a better place, equal ones keep their order.
        qrel_dict: query → response → relevance; above 0 is relevant, and how far above is the gain of NDCG.
        metrics: of "ndcg", "map", "mrr", "recall", "precision", one or several, all where it is None; or "automm" for
            AutoGluon's own variants: gains that are not graded, precision multiplied by the score, five digits.
        cutoffs: how many places of a ranking are looked at.

    Returns:
        "metric@cutoff" → score. NDCG is Järvelin and Kekäläinen's (2002) with linear gain; MAP divides by the number of
        relevant responses or the cutoff, whichever is smaller, so that a perfect ranking has 1.

    Raises:
        UsageError: no such metric, a cutoff below 1, or no query.
    """
    if isinstance(metrics, Sequence) and list(metrics) == [AUTOMM]:
        metrics = AUTOMM
    names = _names(metrics)
    if not qrel_dict:
        raise UsageError("qrel_dict is empty: give {query: {response: relevance}}")
    if not isinstance(cutoffs, Sequence) or not cutoffs or any(not isinstance(k, int) or k < 1 for k in cutoffs):
        raise UsageError(f"cutoffs are {cutoffs}: give a list of whole numbers from 1")
    _tell_of_hopeless(qrel_dict)
    formulas, digits = (_AUTOMM, _AUTOMM_DIGITS) if metrics == AUTOMM else (_FORMULAS, None)
    rankings = [(_ranked(results.get(query, {})), relevance) for query, relevance in qrel_dict.items()]
    found = {}
    for k in cutoffs:
        for name in names:
            mean = float(np.mean([_score(formulas[name], ranking, relevance, k) for ranking, relevance in rankings]))
            found[f"{name}@{k}"] = mean if digits is None else round(mean, digits)
    return found


def _names(metrics: str | Sequence[str] | None) -> list[str]:
    if metrics == AUTOMM:
        return list(_AUTOMM_NAMES)
    asked = list(_FORMULAS) if metrics is None else [metrics] if isinstance(metrics, str) else list(metrics)
    names = [str(name).lower() for name in asked]
    unknown = [name for name in names if name not in _FORMULAS]
    if unknown:
        raise UsageError(f"there is no metric {unknown[0]!r}: choose from {', '.join(_FORMULAS)}, or '{AUTOMM}'")
    return names


def _tell_of_hopeless(relevances: Scores) -> None:
    count = sum(not any(value > 0 for value in of_query.values()) for of_query in relevances.values())
    if count:
        warn(f"{count} of {len(relevances)} queries have no relevant response: they count as 0")


Ranking = list[tuple[Any, float]]  # responses with their scores, best first


def _ranked(scores: Mapping[Any, float]) -> Ranking:
    return sorted(scores.items(), key=lambda pair: -pair[1])


class _Judged:
    """The first k places of one ranking, and what is known of its query."""

    def __init__(self, ranking: Ranking, relevance: Mapping[Any, float], k: int) -> None:
        self.k = k
        self.scores = [score for _, score in ranking[:k]]
        self.gains = [max(0.0, relevance.get(response, 0)) for response, _ in ranking[:k]]
        self.ideal = sorted((gain for gain in relevance.values() if gain > 0), reverse=True)
        self.hits = [place for place, gain in enumerate(self.gains, 1) if gain > 0]
        self.relevant = len(self.ideal)


def _score(formula: Callable[[_Judged], float], ranking: Ranking, relevance: Mapping[Any, float], k: int) -> float:
    judged = _Judged(ranking, relevance, k)
    return formula(judged) if judged.relevant else 0.0


def _discounted(gains: Sequence[float]) -> float:
    return sum(gain / math.log2(place + 1) for place, gain in enumerate(gains, 1))


def _ndcg(judged: _Judged) -> float:
    return _discounted(judged.gains) / _discounted(judged.ideal[: judged.k])


def _map(judged: _Judged) -> float:
    precisions = [count / place for count, place in enumerate(judged.hits, 1)]
    return sum(precisions) / min(judged.relevant, judged.k)


def _mrr(judged: _Judged) -> float:
    return 1 / judged.hits[0] if judged.hits else 0.0


def _recall(judged: _Judged) -> float:
    return len(judged.hits) / judged.relevant


def _precision(judged: _Judged) -> float:
    return len(judged.hits) / judged.k


def _automm_ndcg(judged: _Judged) -> float:
    found = _discounted([float(gain > 0) for gain in judged.gains])
    return found / _discounted([1.0] * min(judged.relevant, judged.k))


def _automm_map(judged: _Judged) -> float:
    weighted = [judged.scores[place - 1] * count / place for count, place in enumerate(judged.hits, 1)]
    return sum(weighted) / min(judged.relevant, judged.k)


_FORMULAS: Mapping[str, Callable[[_Judged], float]] = {
    "ndcg": _ndcg,
    "map": _map,
    "mrr": _mrr,
    "recall": _recall,
    "precision": _precision,
}
_AUTOMM = {**_FORMULAS, "ndcg": _automm_ndcg, "map": _automm_map}
