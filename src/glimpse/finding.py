"""Queries as rows → the best pictures and films of a collection: filters first, then the index, then each item once, by its best row.

Knows the tables and the index, and no models.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glimpse.search import Found, Index, Mask, Untrue
from glimpse.search.moments import moments
from glimpse.store import Store
from glimpse.values import Filter, Hit, Moment, Rows, frame_key

MORE = 8  # times as many rows are looked at where those of a few films were all that came


@dataclass(frozen=True, slots=True)
class Wanted:
    """What hits are wanted: how many, frames rather than items, which parts of films, and without which item."""

    k: int
    frames: bool = False
    moments: bool = False
    without: int | None = None


def hits(store: Store, index: Index, queries: Rows, wanted: Wanted, among: Filter) -> list[list[Hit]]:
    """The hits of each query, best first, equal scores in the order of keys.

    Args:
        store: the tables.
        index: of their rows.
        queries: float32 (q, dim), of unit length.
        wanted: how many and which.
        among: the items that may be found.

    Raises:
        Untrue: a row of the index is not the vector that the collection has.
    """
    mask = _mask(store, index, among)
    total = len(index) if mask is None else int(mask.sum())
    if not total or wanted.k <= 0:
        return [[] for _ in queries]
    first = index.search(queries, _rows_for(wanted), mask)
    found = [_enough(index, query[None], one, total, wanted, mask) for query, one in zip(queries, first, strict=True)]
    return _named(store, index, queries, found, wanted)


def _mask(store: Store, index: Index, among: Filter) -> Mask | None:
    """Which rows belong to items that a filter lets through; None where all do."""
    if among == Filter():
        return None
    items = store.matching(among)
    allowed = np.zeros(max(int(items.max(initial=0)), int(index.items.max(initial=0))) + 1, np.bool_)
    allowed[items] = True
    return allowed[index.items]


def _rows_for(wanted: Wanted) -> int:
    return wanted.k + (wanted.without is not None)


def _enough(index: Index, query: Rows, found: Found, total: int, wanted: Wanted, mask: Mask | None) -> Found:
    """The best row of each hit; more rows are looked at where those of a few films were all that came, and all of them at last."""
    count = _rows_for(wanted)
    for _ in range(2):
        places = _each_once(index, found[0], wanted)
        if len(places) >= wanted.k or len(found[0]) >= total or len(found[0]) < count:
            kept = np.isin(found[0], places)
            return found[0][kept], found[1][kept]
        count = min(count * MORE, total)
        (found,) = index.search(query, count, mask)
    return _of_all(index, query[0], wanted, mask)


def _of_all(index: Index, query: NDArray[np.float32], wanted: Wanted, mask: Mask | None) -> Found:
    """The best row of each of the best hits, by the scores of all rows."""
    scores = index.scores(query)
    places = np.flatnonzero(np.isfinite(scores) if mask is None else mask & np.isfinite(scores))
    if wanted.without is not None:
        places = places[index.items[places] != wanted.without]
    places = places[np.argsort(-scores[places], kind="stable")]
    if not wanted.frames:
        _, firsts = np.unique(index.items[places], return_index=True)
        places = places[np.sort(firsts)]
    least = scores[places[: wanted.k]].min(initial=np.inf)
    places = places[scores[places] >= least]  # those that tie with the last are told apart by their keys
    return places, scores[places]


def _each_once(index: Index, places: NDArray[np.intp], wanted: Wanted) -> NDArray[np.intp]:
    """The first place of each item, or all places where frames are wanted."""
    items = index.items[places]
    if wanted.without is not None:
        places = places[items != wanted.without]
        items = items[items != wanted.without]
    if wanted.frames:
        return places
    firsts: dict[int, int] = {}
    for number, item in enumerate(items.tolist()):
        firsts.setdefault(item, number)
    return places[list(firsts.values())]


def _named(store: Store, index: Index, queries: Rows, found: Sequence[Found], wanted: Wanted) -> list[list[Hit]]:
    """Rows → hits, with what the collection says of their items."""
    every = np.asarray(sorted({place for places, _ in found for place in places.tolist()}), np.intp)
    named = store.named(index.items[every].tolist())
    _check(store, index, every)
    return [_hits_of(store, index, query, one, wanted, named) for query, one in zip(queries, found, strict=True)]


def _check(store: Store, index: Index, places: NDArray[np.intp]) -> None:
    """Hold rows against the collection's; one that was taken out meanwhile is no contradiction."""
    vectors = store.halves(index.frames[places].tolist())
    for place, frame in zip(places.tolist(), index.frames[places].tolist(), strict=True):
        if frame in vectors and not index.has(place, vectors[frame]):
            raise Untrue(frame)


def _hits_of(
    store: Store,
    index: Index,
    query: NDArray[np.float32],
    found: Found,
    wanted: Wanted,
    named: dict[int, tuple[str, dict[str, object]]],
) -> list[Hit]:
    rows = [
        (-float(score), *named[item], time, item)
        for place, score in zip(*found, strict=True)
        for item, time in [(int(index.items[place]), float(index.times[place]))]
        if item in named
    ]
    rows.sort(key=lambda row: (row[0], row[1], row[3]))
    return [
        Hit(
            frame_key(key, seconds),
            -score,
            key,
            seconds,
            metadata,
            _moments(store, item, key, query) if wanted.moments and seconds is not None else (),
        )
        for score, key, metadata, time, item in rows[: wanted.k]
        for seconds in [float(time) if math.isfinite(time) else None]
    ]


def _moments(store: Store, item: int, key: str, query: NDArray[np.float32]) -> tuple[Moment, ...]:
    """The parts of a film that answer a query."""
    duration, times, rows = store.film(item)
    scores = rows @ query
    return tuple(
        Moment(start, end, frame_key(key, float(times[best])), float(scores[best]))
        for start, end, best in moments(scores, times, duration)
    )
