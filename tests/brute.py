"""Searching the plain way, float64 over everything, to hold what searches against; and rows to search."""

from collections.abc import Iterable

import numpy as np

from conftest import unit
from glimpse.values import Embedding, Item


def some(n, dim=32, seed=0):
    """float32 (n, dim) of unit length."""
    return unit(np.random.default_rng(seed).standard_normal((n, dim))).astype(np.float32)


def halves(n, dim=32, seed=0):
    """The same, as it is kept."""
    return some(n, dim, seed).astype(np.float16)


def pictures_and_texts(n, texts, dim=64, seed=0):
    """Rows and queries as of CLIP: each in a cone of its own, and in directions of its own."""
    numbers = np.random.default_rng(seed)
    scales = np.linspace(0.1, 2, dim)
    rows = numbers.standard_normal((n, dim)) * scales + 2
    queries = numbers.standard_normal((texts, dim)) * scales[::-1] - 2 * np.sign(np.arange(dim) % 3 - 1)
    return unit(rows).astype(np.float16), unit(queries).astype(np.float32)


def cosines(rows, query):
    """float64 (n,), the same for the same row wherever it stands."""
    rows = rows.astype(np.float64).reshape(len(rows), len(query))
    scores = (rows * query.astype(np.float64)).sum(1) / np.sqrt((rows * rows).sum(1))
    return np.round(scores, 9)


def is_best(found, rows, query, k, among=None, near=1e-5):
    """Hold places and scores against a sort of all that are allowed; which of two rows stands first does not matter where they are
    that near."""
    places, scores = found
    true = cosines(rows, query)
    allowed = np.arange(len(rows)) if among is None else np.flatnonzero(among)
    assert min(k, len(allowed)) <= len(places) <= len(allowed)
    assert len(set(places.tolist())) == len(places)
    assert np.isin(places, allowed).all()
    assert np.abs(scores - true[places]).max(initial=0) < near
    assert (np.diff(scores) <= 0).all()
    best = np.sort(true[allowed])[::-1][:k]
    assert np.abs(scores[:k] - best).max(initial=0) < near
    for first in np.flatnonzero(np.diff(scores) == 0):
        assert places[first] < places[first + 1]


def thing(key, mtime_ns=1, metadata=None):
    return Item(key, 1, mtime_ns, ("folder", key), metadata or {})


def add_pictures(collection, keys: Iterable[str], rows, **facts):
    collection.add([Embedding(thing(key, **facts), key.encode()) for key in keys], rows)


def add_film(collection, key, rows, digest=b"film"):
    frames = [Embedding(thing(key), digest, place * 1.0, "every 1.0") for place in range(len(rows))]
    collection.add(frames, rows, finished=[(thing(key), float(len(rows)))])


def index_of(collection):
    """What a collection is searched with now."""
    with collection._upkeep.seen() as index:
        return index


def expected(collection, query, k=10, allowed=lambda _: True, *, frames=False, without=None):
    """Keys and scores of what a search must find: from all vectors, item by item."""
    keys, rows = collection.vectors()
    scores = cosines(rows, query)
    order = sorted(range(len(keys)), key=lambda place: (-scores[place], keys[place].partition("#")[0], place))
    hits, seen = [], set()
    for place in order:
        item = keys[place].partition("#")[0]
        if item != without and allowed(item) and (frames or item not in seen):
            seen.add(item)
            hits.append((keys[place], float(scores[place])))
    return hits[:k]


def same(hits, wanted):
    """Whether hits are these keys with these scores."""
    assert [hit.key for hit in hits] == [key for key, _ in wanted]
    assert np.abs(np.asarray([hit.score for hit in hits]) - [score for _, score in wanted]).max(initial=0) < 1e-5
    return True
