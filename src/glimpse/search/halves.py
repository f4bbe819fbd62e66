"""Half-precision rows, mapped or not → float32 rows of unit length.

Rounding to float16 takes a little off the length of a row; it is given back here, so that a cosine is the same from whichever file its
row came.
"""

import numpy as np
from numpy.typing import NDArray

from glimpse.search import Untrue
from glimpse.values import Rows

ROUNDED = 0.01  # of its length, more than rounding takes away

Halves = NDArray[np.float16]  # (n, dim)


_SIGN_AND_REST = np.int32(-0x70002000)  # 0x8FFFE000: the sign of a float32, and where the 15 other bits of a float16 go
_EXPONENTS = np.float32(2.0**112)  # float32 counts exponents from 127, float16 from 15


def floats(halves: Halves) -> Rows:
    """float16 (n, dim) → float32 (n, dim), in half the time that NumPy takes; what is no number becomes 65,536 and more."""
    bits = halves.view(np.int16).astype(np.int32)
    bits <<= 13
    bits &= _SIGN_AND_REST
    rows = bits.view(np.float32)
    rows *= _EXPONENTS
    return rows


def unit(halves: Halves) -> Rows:
    """Scale back to unit length: float16 (n, dim) → float32 (n, dim)."""
    rows = floats(halves)
    rows /= lengths(rows)[:, None]
    return rows


def cosines(halves: Halves, query: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cosines of rows (n, dim) to a query (dim,): float32 (n,).

    Raises:
        Untrue: a row is not of about unit length.
    """
    rows = floats(halves)
    return products_of(rows, lengths(rows), query)


def products_of(rows: Rows, long: NDArray[np.float32], query: NDArray[np.float32]) -> NDArray[np.float32]:
    """`cosines` of rows float32 (n, dim) of which the lengths are known."""
    if not ((long > 1 - ROUNDED) & (long < 1 + ROUNDED)).all():
        raise Untrue("a row is not of unit length")
    scores = np.einsum("ij,j->i", rows, query)  # BLAS would wake threads that take cores from those that scan codes
    scores /= long
    return np.asarray(scores, np.float32)


def lengths(rows: Rows) -> NDArray[np.float32]:
    """float32 (n,)."""
    return np.asarray(np.sqrt(np.einsum("ij,ij->i", rows, rows)), np.float32)
