"""Cosines of pairs → labels, chances and scores; and how good a predictor ranks. Knows no model."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glimpse.automm.cells import is_empty
from glimpse.automm.columns import Table
from glimpse.automm.matching import LABEL, semantic_search
from glimpse.automm.ranking import AUTOMM, compute_ranking_score
from glimpse.errors import UsageError
from glimpse.values import Rows

if TYPE_CHECKING:
    from glimpse.automm.predictor import MultiModalPredictor

Labels = Sequence[Any]
Truth = NDArray[np.bool_]  # (n,): whether a pair belongs together


# Pairs ------------------------------------------------------------------------------------------------------------------


def labels_of_pairs(classes: Labels | None, match_label: Any) -> tuple[Labels, int]:
    """The two labels, and which of them (0 or 1) says that a pair belongs together.

    Raises:
        UsageError: there are not two, or `match_label` is none of them.
    """
    labels = [0, 1] if classes is None and match_label in {None, 0, 1} else classes
    if labels is None:
        raise UsageError(
            f"match_label is {match_label!r}: say what the other label is, classes=[other, {match_label!r}]"
        )
    if len(labels) != 2:  # noqa: PLR2004
        raise UsageError(f"classes are {list(labels)}: pairs have two, what does not match and what does")
    if match_label is not None and match_label not in labels:
        raise UsageError(f"match_label is {match_label!r}, which is none of the classes {list(labels)}")
    return labels, 1 if match_label is None else list(labels).index(match_label)


def chances(cosines: Rows, classes: Labels | None, match_label: Any) -> Rows:
    """(1 + cosine) / 2 for the label that means a match, the rest for the other: float32 (n, 2), in the order of the labels."""
    _, match = labels_of_pairs(classes, match_label)
    matching = (1 + cosines) / 2
    return np.stack([1 - matching, matching] if match else [matching, 1 - matching], 1).astype(np.float32)


def matches(cosines: Rows, classes: Labels | None, match_label: Any) -> Any:
    """The label of each pair, a match where the cosine is above 0: int64 (n,), or what the labels are.

    A pair without a cosine (a picture that was skipped) is -1, or None where the labels are given.
    """
    labels, match = labels_of_pairs(classes, match_label)
    found = np.asarray(labels)[np.where(cosines > 0, match, 1 - match)]
    unknown = np.isnan(cosines)
    if unknown.any():
        found = found if classes is None else found.astype(object)
        found[unknown] = -1 if classes is None else None
    return found


def of_pairs(
    cosines: Rows, given: Labels, classes: Labels | None, match_label: Any, metrics: str | Sequence[str] | None
) -> dict[str, float]:
    """Score cosines (n,) against labels (n,).

    Raises:
        UsageError: no such metric, or an unknown label.
    """
    labels, match = labels_of_pairs(classes, match_label)
    strange = [label for label in given if label not in labels]
    if strange:
        raise UsageError(
            f"the label {strange[0]!r} is none of {list(labels)}: give classes=[what does not match, what does]"
        )
    known = ~np.isnan(cosines)
    if not known.any():
        raise UsageError("there is no pair to evaluate")
    truth = np.array([label == labels[match] for label in given])[known]
    asked = [metrics] if isinstance(metrics, str) else list(metrics or ["roc_auc"])
    unknown = [name for name in asked if str(name).lower() not in _METRICS]
    if unknown:
        raise UsageError(f"there is no metric {unknown[0]!r} for pairs: choose from {', '.join(_METRICS)}")
    return {name: _METRICS[name.lower()](cosines[known], truth) for name in asked}


def _roc_auc(cosines: Rows, truth: Truth) -> float:
    """How often a pair that matches is above one that does not, equal ones counted half (Mann and Whitney's U)."""
    good, bad = np.sort(cosines[truth]), np.sort(cosines[~truth])
    if not (len(good) and len(bad)):
        raise UsageError("roc_auc takes pairs of both labels: the data has one only")
    below = np.searchsorted(bad, good, "left") + np.searchsorted(bad, good, "right")
    return float(below.sum() / (2 * len(good) * len(bad)))


def _accuracy(cosines: Rows, truth: Truth) -> float:
    return float(((cosines > 0) == truth).mean())


def _f1(cosines: Rows, truth: Truth) -> float:
    found = cosines > 0
    wrong = int((found != truth).sum())
    right = int((found & truth).sum())
    return 2 * right / (2 * right + wrong) if right else 0.0


_METRICS: Mapping[str, Callable[[Rows, Truth], float]] = {"roc_auc": _roc_auc, "accuracy": _accuracy, "f1": _f1}


# Ranking ----------------------------------------------------------------------------------------------------------------


def of_ranking(
    predictor: "MultiModalPredictor",
    pairs: Table,
    queries: Table,
    responses: Table,
    label: str | None,
    metrics: str | Sequence[str] | None,
    cutoffs: Sequence[int],
    similarity_type: str,
    id_mappings: Mapping[str, Any] | None,
) -> dict[str, float]:
    """Search every response for every query, and score what is found against the pairs; without a label each is relevant."""
    query, response = next(iter(queries.columns)), next(iter(responses.columns))
    for name in (query, response):
        if name not in pairs.columns:
            raise UsageError(f"the data has no column {name!r}: it has {', '.join(pairs.columns)}")
    queries, responses = _distinct(queries), _distinct(responses)
    asked, offered = list(queries.columns[query]), list(responses.columns[response])
    found = semantic_search(
        predictor,
        query_data=queries,
        response_data=responses,
        id_mappings=id_mappings,
        top_k=max([1, *cutoffs]),
        similarity_type=similarity_type,
    )
    results = {
        one: {offered[hit["response_id"]]: hit["score"] for hit in hits} for one, hits in zip(asked, found, strict=True)
    }
    relevance = _relevance(pairs, query, response, label, int if metrics in (AUTOMM, [AUTOMM]) else float)
    return compute_ranking_score(results, relevance, metrics or "ndcg", cutoffs)


def _distinct(side: Table) -> Table:
    """Every query, or response, once: one that stands there twice would take two places of a ranking."""
    cells = next(iter(side.columns.values()))
    if not all(isinstance(cell, Hashable) for cell in cells):
        raise UsageError(
            "queries and responses are told apart by what their cells are: give paths, texts or identifiers"
        )
    firsts = {cell: row for row, cell in reversed(list(enumerate(cells)))}
    rows = sorted(firsts.values())
    return replace(side, columns={name: [of[row] for row in rows] for name, of in side.columns.items()}, index=None)


def _relevance(
    pairs: Table, query: str, response: str, label: str | None, grade: Callable[[Any], float]
) -> dict[Any, dict[Any, float]]:
    name = LABEL if label is None and LABEL in pairs.columns else label
    values = [1] * len(pairs) if name is None else pairs.columns[name]
    found: dict[Any, dict[Any, float]] = {}
    for one, other, value in zip(pairs.columns[query], pairs.columns[response], values, strict=True):
        try:
            found.setdefault(one, {})[other] = 0.0 if is_empty(value) else grade(value)
        except (TypeError, ValueError):
            raise UsageError(
                f"{value!r} in column {name!r} is no relevance: give numbers, above 0 where it is relevant"
            ) from None
    return found
