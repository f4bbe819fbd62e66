"""Columns → rows: pictures that cannot be used raise, become zeros, or become NaN; never a neighbour's vector."""

import re
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from glimpse import terminal
from glimpse.automm import columns
from glimpse.automm.columns import Column
from glimpse.automm.settings import Settings
from glimpse.encoder import BATCH, Encoder
from glimpse.errors import BadItems
from glimpse.values import Failure, Progress, Rows

Mask = NDArray[np.float32]  # (n,): 1 where the row has a vector, 0 where it has none
T = TypeVar("T")

SHOWN_FROM = 65  # pictures in a call before it shows how far it has come
_PLACE = re.compile(r"pictures\[(\d+)\]")  # how the encoder names a picture without a name


class PictureWarning(UserWarning):
    """Pictures that could not be used, named; their rows are zeros or NaN."""


def image_rows(encoder: Encoder, column: Column, settings: Settings, *, quiet: bool) -> tuple[Rows, Mask]:
    """Embed a column of pictures, each distinct path once.

    Returns:
        float32 (n, dim) unit rows, and which of them have a vector.

    Raises:
        BadItems: by the strategy "raise", where pictures cannot be used; names them all.

    Warns:
        PictureWarning: by "zero" and "skip"; names them all.
    """
    once, places = _distinct(columns.pictures(column))
    hidden = quiet or len(once) < SHOWN_FROM
    with terminal.progress(column.name, quiet=hidden) as update:
        rows, failures = encoder.images(_counted(once, update), errors="nan", batch=settings.batch or BATCH)
    good = ~np.isnan(rows[:, 0])
    if failures:
        _tell([_named(failure, column, places) for failure in failures], column, settings.missing)
    if settings.missing == "zero":
        rows[~good] = 0
    return rows[places], good[places].astype(np.float32)


def text_rows(encoder: Encoder, texts: Sequence[str]) -> Rows:
    """Embed texts, each distinct one once: float32 (n, dim) unit rows."""
    once, places = _distinct(texts)
    return encoder.texts(once)[places]


def _distinct(things: Sequence[T]) -> tuple[list[T], NDArray[np.intp]]:
    """Each thing once, and which of those stands at every place; only texts and paths are compared."""
    seen: dict[Any, int] = {}
    keys = [thing if isinstance(thing, str) else id(thing) for thing in things]
    places = np.array([seen.setdefault(key, len(seen)) for key in keys], np.intp)
    firsts: dict[Any, T] = {}
    for key, thing in zip(keys, things, strict=True):
        firsts.setdefault(key, thing)
    return list(firsts.values()), places


def _counted(pictures: Sequence[T], update: Callable[[Progress], None]) -> Iterable[T]:
    start, total = time.monotonic(), len(pictures)

    def taken() -> Iterator[T]:
        for done, picture in enumerate(pictures, 1):
            yield picture
            update(Progress(done, total, done, 0, time.monotonic() - start))

    return taken()


def _named(failure: Failure, column: Column, places: NDArray[np.intp]) -> Failure:
    found = _PLACE.fullmatch(failure.key)
    if not found:
        return failure
    row = int(np.flatnonzero(places == int(found[1]))[0])
    return Failure(f"{column.name}[{row}]", failure.code, failure.message)


def _tell(failures: Sequence[Failure], column: Column, missing: str) -> None:
    what = f"{len(failures)} of the pictures in column {column.name!r} cannot be used"
    lines = "".join(f"\n  {failure.key}: {failure.message}" for failure in failures)
    if missing == "raise":
        ways = (
            "repair or leave them out, or set data.image.missing_value_strategy to 'skip' (NaN rows) or 'zero'; if the "
            f"column holds texts, say column_types={{{column.name!r}: 'text'}}"
        )
        raise BadItems(f"{what} ({ways}):{lines}", failures)
    rows = "are zeros" if missing == "zero" else "are NaN"
    warnings.warn(f"{what}, their rows {rows}:{lines}", PictureWarning, stacklevel=2)
