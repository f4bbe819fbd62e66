"""Arrays in, arrays out, of the kind that was asked for: NumPy, torch, pandas. Torch is never imported for who does not use it."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from glimpse.automm.columns import pandas
from glimpse.errors import MissingExtra, UsageError
from glimpse.values import Rows

Array = NDArray[Any]
T = TypeVar("T")


def rows_of(vectors: Any, what: str) -> Rows:
    """Vectors as float32 (n, dim): from an array, a tensor on any device, a list, or one vector (dim,).

    Raises:
        UsageError: it is none of these.
    """
    if isinstance(vectors, Mapping):
        raise UsageError(f"{what} are a dict of several kinds, {', '.join(map(str, vectors))}: take one of them")
    if is_tensor(vectors):
        vectors = vectors.detach().cpu().float().numpy()
    try:
        rows = np.asarray(vectors, np.float32)
    except (TypeError, ValueError):
        raise UsageError(f"{what} are no vectors: give an array of shape (n, dim)") from None
    rows = rows[None] if rows.ndim == 1 and rows.size else rows
    if rows.ndim != 2:  # noqa: PLR2004
        raise UsageError(f"{what} have the shape {rows.shape}: give (n, dim)")
    return rows


def is_tensor(value: Any) -> bool:
    """Whether a value is torch's."""
    return type(value).__module__.partition(".")[0] == "torch"


def tensor(array: Array) -> Any:
    """An array as a torch tensor on the processor; it shares the array's memory.

    Raises:
        MissingExtra: torch is not installed.
    """
    try:
        torch = import_module("torch")
    except ImportError:
        raise MissingExtra("as_tensor=True takes torch, which glimpse itself does without: pip install torch") from None
    return torch.from_numpy(array)


def frame(array: Array, index: Any, *, columns: Any = None, name: str | None = None) -> Any:
    """An array as a data frame (n, columns), or as a series (n,), with the index of the data that it was made of."""
    library = pandas("as_pandas=True")
    if array.ndim == 1:
        return library.Series(array, index=index, name=name)
    return library.DataFrame(array, index=index, columns=columns)


def converted(value: Any, *, as_tensor: bool, as_pandas: bool, index: Any) -> Any:
    """An array, or a dict of arrays, as what the caller asked for."""
    if as_tensor and as_pandas:
        raise UsageError("as_tensor and as_pandas are both set: choose one")
    if isinstance(value, Mapping):
        return {
            name: converted(one, as_tensor=as_tensor, as_pandas=as_pandas, index=index) for name, one in value.items()
        }
    if as_tensor:
        return tensor(value)
    return frame(value, index) if as_pandas else value
