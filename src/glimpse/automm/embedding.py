"""Columns → rows: pictures that cannot be used raise, become zeros, or become NaN; never a neighbour's vector."""

import re
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from glimpse import terminal
from glimpse.automm import columns
from glimpse.automm.columns import Column, Table
from glimpse.automm.presets import Kind
from glimpse.automm.settings import Settings
from glimpse.errors import BadItems, UsageError
from glimpse.values import Failure, Progress, Rows

if TYPE_CHECKING:
    from glimpse.encoder import Encoder

Mask = NDArray[np.float32]  # (n,): 1 where the row has a vector, 0 where it has none
T = TypeVar("T")

SHOWN_FROM = 65  # pictures in a call before it shows how far it has come
_PLACE = re.compile(r"pictures\[(\d+)\]")  # how the encoder names a picture without a name


class PictureWarning(UserWarning):
    """Pictures that could not be used, named; their rows are zeros or NaN."""


@dataclass(frozen=True, slots=True)
class Embedder:
    """An encoder, and how it is to treat columns.

    Attributes:
        encoder: computes.
        settings: what becomes of pictures that cannot be used, and how many are embedded together.
        kinds: what columns hold, of which it was said.
        kind: what every column holds, where the problem type says it.
        quiet: show no progress.
    """

    encoder: "Encoder"
    settings: Settings
    kinds: Mapping[str, Kind]
    kind: Kind | None
    quiet: bool

    def rows(self, given: Table, names: Sequence[str]) -> tuple[dict[str, Rows], dict[str, Mask]]:
        """Embed columns: each of pictures by its name, all of texts together by their names joined with "_".

        Returns:
            Name → float32 (n, dim) unit rows, and name → which of them have a vector.

        Raises:
            BadItems: by the strategy "raise", where pictures cannot be used; names them all.

        Warns:
            PictureWarning: by "zero" and "skip"; names them all.
        """
        chosen = [self._column(name, given.columns[name]) for name in names]
        texts = sorted((column for column in chosen if column.kind == "text"), key=lambda column: column.name)
        found = {column.name: self._images(column) for column in chosen if column.kind == "image"}
        if texts:
            found["_".join(column.name for column in texts)] = self._texts(columns.texts(texts))
        return {name: rows for name, (rows, _) in found.items()}, {name: mask for name, (_, mask) in found.items()}

    def _column(self, name: str, cells: Sequence[Any]) -> Column:
        return Column(name, self.kind or self.kinds.get(name) or columns.kind_of(name, cells), cells)

    def _images(self, column: Column) -> tuple[Rows, Mask]:
        """Each distinct path is embedded once."""
        once, places = _distinct(columns.pictures(column))
        with terminal.progress(column.name, quiet=self.quiet or len(once) < SHOWN_FROM) as update:
            batch = {} if self.settings.batch is None else {"batch": self.settings.batch}
            rows, failures = self.encoder.images(_counted(once, update), errors="nan", **batch)
        good = ~np.isnan(rows[:, 0])
        if failures:
            _tell([_named(failure, column, places) for failure in failures], column, self.settings.missing)
        if self.settings.missing == "zero":
            rows[~good] = 0
        return rows[places], good[places].astype(np.float32)

    def _texts(self, texts: Sequence[str]) -> tuple[Rows, Mask]:
        """Each distinct text is embedded once; an empty one has a vector, but its mask is 0."""
        once, places = _distinct(texts)
        return self.encoder.texts(once)[places], np.array([bool(text.strip()) for text in texts], np.float32)


def only(named: Mapping[str, T], what: str) -> T:
    """The one thing there is.

    Raises:
        UsageError: there are several, or none.
    """
    if len(named) != 1:
        raise UsageError(
            f"{what} has several kinds of embeddings, {', '.join(named)}: give one column, or say which by query=, "
            "response= and signature="
        )
    return next(iter(named.values()))


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
