"""Half-precision rows, mapped or not → float32 rows of unit length.

Rounding to float16 takes a little off the length of a row; it is given back here, so that a cosine is the same from whichever file its
row came.
"""

import numpy as np
from numpy.typing import NDArray

from glimpse.values import Rows

Halves = NDArray[np.float16]  # (n, dim)


def unit(halves: Halves) -> Rows:
    """Scale back to unit length: float16 (n, dim) → float32 (n, dim)."""
    rows = halves.astype(np.float32)
    rows /= lengths(rows)[:, None]
    return rows


def cosines(halves: Halves, query: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cosines of rows (n, dim) to a query (dim,): float32 (n,)."""
    rows = halves.astype(np.float32)
    scores = rows @ query
    scores /= lengths(rows)
    return np.asarray(scores, np.float32)


def lengths(rows: Rows) -> NDArray[np.float32]:
    """float32 (n,)."""
    return np.asarray(np.sqrt(np.einsum("ij,ij->i", rows, rows)), np.float32)
