"""Rotary positions in two dimensions (Su et al., 2021, arXiv 2104.09864; Fang et al., 2023, arXiv 2303.11331).

The first half of a head's frequencies turns by one coordinate of a patch, the second half by the other, as timm has it. timm turns channels in pairs that stand side by side; `glimpse.runtimes.Ops` turns the halves of a head together. Products of
queries and keys do not depend on the order of their channels, so the weights that make them are put in order once.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from glimpse.runtimes import Array

Places = NDArray[np.float64]
_TEMPERATURE = 10_000.0


def table(first: Places, second: Places, head: int, *, prefix: int) -> Array:
    """Cosines and sines for patches at two coordinates (patches,): → (2, prefix + patches, head).

    `prefix` tokens before the patches are not turned.
    """
    bands = _TEMPERATURE ** -(np.arange(head // 4) / (head // 4))
    angles = np.concatenate([np.outer(first, bands), np.outer(second, bands)], axis=1)  # (patches, head / 2)
    angles = np.concatenate([np.zeros((prefix, head // 2)), angles])
    return np.asarray(np.tile([np.cos(angles), np.sin(angles)], 2), np.float32)


def grid(side: int) -> tuple[Places, Places]:
    """Row and column of every patch, row by row: two of (side²,)."""
    rows, columns = np.mgrid[:side, :side].reshape(2, -1).astype(np.float64)
    return rows, columns


def halved(weights: Array, heads: int) -> Array:
    """Put the rows of a projection (width, …) in order: of each head the even channels, then the odd ones."""
    head = len(weights) // heads
    order = np.r_[0:head:2, 1:head:2]
    return np.concatenate([part[order] for part in np.split(weights, heads)])


def halved_qkv(parts: Sequence[Array], heads: int) -> Array:
    """Queries, keys and values one after the other, the first two in order; given as three tensors, or as one."""
    q, k, v = parts if len(parts) > 1 else np.split(parts[0], 3)
    return np.concatenate([halved(q, heads), halved(k, heads), v])
