"""One-bit codes in lists around centroids, of which a query scans the nearest: FAISS's IndexIVFRaBitQFastScan, made and taken apart."""

from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from glimpse.search.flat import checked
from glimpse.values import Rows

ROUNDS = 10  # of k-means


def centroids(sample: Rows, count: int) -> Rows:
    """Centroids of k-means: float32 (n, dim) → float32 (count, dim)."""
    kmeans = faiss.Kmeans(sample.shape[1], count, niter=ROUNDS, seed=0)
    kmeans.train(sample)
    return np.asarray(kmeans.centroids, np.float32)


def made(sample: Rows, centroids: Rows) -> Any:
    """An empty shard with a list for each centroid."""
    shard = _empty(centroids)
    shard.train(sample)
    return shard


def _empty(centroids: Rows) -> Any:
    nearest = faiss.IndexFlatL2(centroids.shape[1])
    nearest.add(centroids)
    shard = faiss.IndexIVFRaBitQFastScan(nearest, centroids.shape[1], len(centroids), faiss.METRIC_INNER_PRODUCT)
    shard.referenced_objects = [nearest]  # FAISS keeps no more than its address
    return shard


def searched(shard: Any, queries: Rows, count: int, probes: int) -> NDArray[np.int64]:
    """Places in the shard of what seems best in the nearest lists: int64 (q, count), -1 where there is no more."""
    return np.asarray(shard.search(queries, count, params=faiss.SearchParametersIVF(nprobe=probes))[1])


def parts(shard: Any) -> dict[str, NDArray[Any]]:
    """All there is to keep of a shard: of each list its codes, padded to blocks, and the places of its rows."""
    lists = faiss.downcast_InvertedLists(shard.invlists)
    sizes = [lists.list_size(number) for number in range(shard.nlist)]
    return {
        "sizes": np.asarray(sizes, np.int64),
        "codes": np.concatenate([_codes(lists, number) for number in range(shard.nlist)]),
        "places": np.concatenate([_places(lists, number) for number in range(shard.nlist)]),
    }


def restored(kept: dict[str, NDArray[Any]], centroids: Rows) -> Any:
    """What `parts` gave; raises ValueError where it does not fit together."""
    shard = _empty(centroids)
    shard.is_trained = True
    lists = faiss.downcast_InvertedLists(shard.invlists)
    sizes = checked(kept["sizes"], np.int64, shard.nlist)
    blocks = -(-sizes // lists.n_per_block) * lists.block_size
    places = checked(kept["places"], np.int64, int(sizes.sum()))
    codes = checked(kept["codes"], np.uint8, int(blocks.sum()))
    if sizes.min() < 0 or (len(places) and not 0 <= places.min() <= places.max() < len(places)):
        raise ValueError(len(places))
    ends, stops = np.cumsum(sizes), np.cumsum(blocks)
    for number, size in enumerate(sizes.tolist()):
        lists.resize(number, size)
        _codes(lists, number)[:] = codes[stops[number] - blocks[number] : stops[number]]
        _places(lists, number)[:] = places[ends[number] - size : ends[number]]
    shard.ntotal = len(places)
    return shard


def _codes(lists: Any, number: int) -> NDArray[np.uint8]:
    size = -(-lists.list_size(number) // lists.n_per_block) * lists.block_size
    return np.asarray(faiss.rev_swig_ptr(lists.get_codes(number), size)) if size else np.empty(0, np.uint8)


def _places(lists: Any, number: int) -> NDArray[np.int64]:
    size = lists.list_size(number)
    return np.asarray(faiss.rev_swig_ptr(lists.get_ids(number), size)) if size else np.empty(0, np.int64)
