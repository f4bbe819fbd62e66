"""One-bit codes one after the other, all of which are scanned: FAISS's IndexRaBitQFastScan, made and taken apart."""

from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from glimpse.values import Rows

_PADDED = 32  # rows in a block of the layout


def made(sample: Rows, _centroids: Rows) -> Any:
    """An empty shard for rows like these: float32 (n, dim)."""
    shard = faiss.IndexRaBitQFastScan(sample.shape[1], faiss.METRIC_INNER_PRODUCT)
    shard.train(sample)
    return shard


def searched(shard: Any, queries: Rows, count: int, _probes: int) -> NDArray[np.int64]:
    """Places in the shard of what seems best: int64 (q, count), -1 where there is no more."""
    return np.asarray(shard.search(queries, count)[1])


def parts(shard: Any) -> dict[str, NDArray[Any]]:
    """All there is to keep of a shard."""
    return {
        "middle": faiss.vector_to_array(shard.center),
        "codes": _codes(shard).copy(),
        "count": np.asarray(shard.ntotal),
    }


def restored(kept: dict[str, NDArray[Any]], centroids: Rows) -> Any:
    """What `parts` gave; raises ValueError where it does not fit together."""
    dim, count = centroids.shape[1], int(kept["count"])
    shard = faiss.IndexRaBitQFastScan(dim, faiss.METRIC_INNER_PRODUCT)
    faiss.copy_array_to_vector(checked(kept["middle"], np.float32, dim), shard.center)
    shard.is_trained, shard.ntotal, shard.ntotal2 = True, count, -(-count // _PADDED) * _PADDED
    codes = checked(kept["codes"], np.uint8, shard.ntotal2 * shard.code_size)
    shard.codes.resize(len(codes))
    _codes(shard)[:] = codes
    return shard


def _codes(shard: Any) -> NDArray[np.uint8]:
    """The memory of a shard's codes, as it is."""
    return np.asarray(faiss.rev_swig_ptr(shard.codes.get(), shard.codes.size()))


def checked(array: NDArray[Any], dtype: Any, size: int) -> NDArray[Any]:
    """An array, if it is of this kind and size; FAISS would read beyond one that is smaller."""
    if array.dtype != dtype or array.shape != (size,):
        raise ValueError(size)
    return array
