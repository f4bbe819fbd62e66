"""Who searches vectors, each in a process of its own: glimpse by its public API, and the libraries that others would take.

All of them have `one`, query (dim,) → places (k,); most have `many`, (q, dim) → (q, k). What making one takes beside reading its
vectors is `built`, in seconds. The functions below are what a `Contestant` can be asked: they run in its process.
"""

# ruff: noqa: D102  (what all of them can be asked is said once, above)

import multiprocessing
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import collections_of_vectors
import measure
import vectors
from vectors import Rows, Vectors

Places = NDArray[np.int64]

BLOCK = 65_536  # rows that NumPy takes at a time for many queries
LINKS, BUILDING = 32, 200  # of graphs: how many neighbours a row has, and how far it is looked around for them
WIDEST = 4096  # of what a graph may look at
UNCOUNTED = 2  # calls that only bring what is needed back into the processor's cache


# The near end ---------------------------------------------------------------------------------------------------------


class Contestant:
    """A searcher in a process of its own, to be closed in the end."""

    def __init__(self, make: Callable[[], Any]) -> None:
        """Start the process and have it make its searcher, which must be a thing that can be pickled."""
        self._process = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _begin, (make,))

    def ask(self, verb: Callable[..., Any], *arguments: Any) -> Any:
        """Have one of the functions below run in the process."""
        return self._process.submit(verb, *arguments).result()

    def close(self) -> None:
        """End the process."""
        self._process.shutdown()


# The far end ----------------------------------------------------------------------------------------------------------

_searcher: Any = None


def _begin(make: Callable[[], Any]) -> None:
    global _searcher  # noqa: PLW0603  (one for each process)
    _searcher = make()


def built() -> float:
    """Seconds that the index took."""
    return float(_searcher.built)


def memory() -> float:
    """Megabytes that are this process's own: what is mapped from files is not counted."""
    return measure.own_memory()


def latencies(queries: Sequence[Any], k: int) -> list[float]:
    """Milliseconds of each query by itself but the first two: vectors, or texts of those that take some."""
    times = [measure.seconds(partial(_searcher.one, query, k)) for query in queries]
    return [1000 * taken for taken in times[UNCOUNTED:]]


def found(queries: Rows, k: int) -> Places:
    """What is found, query by query: (q, k)."""
    return np.stack([_searcher.one(query, k) for query in queries])


def together(queries: Rows, k: int) -> float:
    """Seconds of all queries at once."""
    return measure.seconds(lambda: _searcher.many(queries, k))


def found_together(queries: Rows, k: int) -> Places:
    """What is found for all queries at once: (q, k)."""
    places: Places = _searcher.many(queries, k)
    return places


def tune(queries: Rows, truth: Places, least: float) -> int:
    """Have a graph look at so much that its recall is high enough, or as much as it may; returns how much that is."""
    width = 16
    while width < WIDEST:
        _searcher.look_at(width)
        if recall(found(queries, truth.shape[1]), truth) >= least:
            break
        width *= 2
    return width


def adding(count: int) -> float:
    """Seconds until so many new rows are stored and found."""
    return float(_searcher.adding(count))


def recall(places: Places, truth: Places) -> float:
    """The share of the true neighbours that were found: both (q, k)."""
    return float(np.mean([np.isin(right, mine).mean() for mine, right in zip(places, truth, strict=True)]))


# Glimpse --------------------------------------------------------------------------------------------------------------


class Glimpse:
    """`Collection.search` and `search_many` over a kept collection."""

    def __init__(self, path: Path, model: Path | None, texts: Rows) -> None:
        """Open it; with a model, make anew what searching needs, without one only vectors can be searched by."""
        import glimpse

        encoder: Any = collections_of_vectors.StandIn(glimpse.load(model), texts) if model else None
        if model:
            collections_of_vectors.forget_derived(path)
        self._collection = glimpse.Collection(path, encoder)
        self.built = measure.seconds(self._collection.prepare_search) if model else 0.0

    def one(self, query: Rows | str, k: int) -> Places:
        return _places(self._collection.search(query, k=k))

    def many(self, queries: Rows, k: int) -> Places:
        return np.stack([_places(hits) for hits in self._collection.search_many(queries, k=k)])

    def adding(self, count: int) -> float:
        """Rows that are found first by one of their own, and taken out again."""
        first = 9_000_000
        rows = np.random.default_rng(time.time_ns()).standard_normal((count, self._collection.encoder.dim), np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        items = collections_of_vectors.named(first, count)
        self._collection.encoder.fingerprint  # noqa: B018  (of files, read once)
        seconds = measure.seconds(lambda: self._add_and_find(items, rows))
        self._collection.remove([item.item.key for item in items])
        self.one(rows[0], 1)
        return seconds

    def _add_and_find(self, items: Sequence[Any], rows: Rows) -> None:
        self._collection.add(items, rows)
        if self._collection.search(rows[-1], k=1)[0].key != items[-1].item.key:
            raise RuntimeError("what was added is not found")


def _places(hits: Sequence[Any]) -> Places:
    return np.array([collections_of_vectors.place(hit.key) for hit in hits], np.int64)


# Exact peers ----------------------------------------------------------------------------------------------------------


class NumPy:
    """float32 and BLAS."""

    def __init__(self, source: Vectors) -> None:
        self._matrix = vectors.unit_rows(source.rows)
        self.built = 0.0

    def one(self, query: Rows, k: int) -> Places:
        scores = self._matrix @ query
        best = np.argpartition(scores, -k)[-k:]
        return best[np.argsort(-scores[best])]

    def many(self, queries: Rows, k: int) -> Places:
        """Block by block: the best of each, then the best of those."""
        parts = list(self._best_of_blocks(queries, k))
        places, scores = (np.concatenate(part, 1) for part in zip(*parts, strict=True))
        order = np.argsort(-scores, axis=1)[:, :k]
        return np.take_along_axis(places, order, 1)

    def _best_of_blocks(self, queries: Rows, k: int) -> Iterator[tuple[Places, Rows]]:
        for start in range(0, len(self._matrix), BLOCK):
            scores = queries @ self._matrix[start : start + BLOCK].T  # (q, block)
            best = np.argpartition(scores, -k, axis=1)[:, -k:]
            yield best + start, np.take_along_axis(scores, best, 1)


class FaissFlat:
    """`IndexFlatIP`."""

    def __init__(self, source: Vectors) -> None:
        import faiss

        rows = vectors.unit_rows(source.rows)
        self._index = faiss.IndexFlatIP(rows.shape[1])
        self.built = measure.seconds(lambda: self._index.add(rows))

    def one(self, query: Rows, k: int) -> Places:
        return np.asarray(self.many(query[None], k)[0])

    def many(self, queries: Rows, k: int) -> Places:
        return np.asarray(self._index.search(queries, k)[1], np.int64)


class Usearch:
    """`usearch.index.search` without an index, in float16."""

    def __init__(self, source: Vectors) -> None:
        self._matrix = vectors.unit_rows(source.rows).astype(np.float16)
        self.built = 0.0

    def one(self, query: Rows, k: int) -> Places:
        from usearch.index import MetricKind, search

        matches = search(self._matrix, query.astype(np.float16), k, MetricKind.IP, exact=True)
        return np.asarray(matches.keys, np.int64)


class LanceDB:
    """A table on the disk, without an index; closed by the system."""

    def __init__(self, source: Vectors) -> None:
        import lancedb

        self._folder = measure.bench_folder() / "lance" / source.name
        self.close()
        rows = vectors.unit_rows(source.rows)
        began = time.perf_counter()
        self._table = lancedb.connect(self._folder).create_table("photos", _record_batches(rows))
        self.built = time.perf_counter() - began

    def one(self, query: Rows, k: int) -> Places:
        asked = self._table.search(query).distance_type("dot").limit(k).select(["place", "_distance"])
        return np.asarray(asked.to_arrow()["place"].to_numpy(), np.int64)

    def close(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


def _record_batches(rows: Rows) -> Any:
    import pyarrow as pa

    vector = pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), rows.shape[1])
    return pa.table({"place": pa.array(np.arange(len(rows))), "vector": vector})


def close() -> None:
    """Have a searcher delete what it keeps on the disk."""
    if hasattr(_searcher, "close"):
        _searcher.close()


# Graphs ---------------------------------------------------------------------------------------------------------------


class FaissHNSW:
    """`IndexHNSWFlat`."""

    def __init__(self, source: Vectors) -> None:
        import faiss

        rows = vectors.unit_rows(source.rows)
        self._index = faiss.IndexHNSWFlat(rows.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)
        self._index.hnsw.efConstruction = BUILDING
        self.built = measure.seconds(lambda: self._index.add(rows))

    def look_at(self, width: int) -> None:
        self._index.hnsw.efSearch = width

    def one(self, query: Rows, k: int) -> Places:
        return np.asarray(self.many(query[None], k)[0])

    def many(self, queries: Rows, k: int) -> Places:
        return np.asarray(self._index.search(queries, k)[1], np.int64)


class UsearchHNSW:
    """usearch's own index, in float16."""

    def __init__(self, source: Vectors) -> None:
        from usearch.index import Index

        rows = vectors.unit_rows(source.rows)
        self._index: Any = Index(
            ndim=rows.shape[1], metric="ip", dtype="f16", connectivity=LINKS, expansion_add=BUILDING
        )
        self.built = measure.seconds(lambda: self._index.add(np.arange(len(rows)), rows))

    def look_at(self, width: int) -> None:
        self._index.expansion_search = width

    def one(self, query: Rows, k: int) -> Places:
        return np.asarray(self._index.search(query, k).keys, np.int64)
