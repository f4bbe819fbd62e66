"""Columns → rows: pictures that cannot be used raise, become zeros, or become NaN; never a neighbour's vector."""

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from glimpse import terminal
from glimpse.automm import columns
from glimpse.automm.cells import is_empty, picture
from glimpse.automm.columns import Column, Table
from glimpse.automm.notices import PictureWarning, warn
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
        if not names:
            raise UsageError("the data has no column to embed: give pictures or texts")
        chosen = [self._column(name, given) for name in names]
        texts = sorted((column for column in chosen if column.kind == "text"), key=lambda column: column.name)
        found = {column.name: self._images(column) for column in chosen if column.kind == "image"}
        if texts:
            name = "_".join(column.name for column in texts)
            if name in found:
                raise UsageError(f"the texts together would be called {name!r}, as a column of pictures is: rename one")
            found[name] = self._texts(columns.texts(texts))
        return {name: rows for name, (rows, _) in found.items()}, {name: mask for name, (_, mask) in found.items()}

    def _column(self, name: str, given: Table) -> Column:
        cells, said = given.columns[name], self.kind or self.kinds.get(name)
        return Column(name, said or columns.kind_of(name, cells, by_name=not given.listed), cells)

    def _images(self, column: Column) -> tuple[Rows, Mask]:
        """Each distinct path, and each object that is there more than once, is embedded once."""
        firsts, places = _distinct(column.cells)
        once = [picture(column.cells[row], f"{column.name}[{row}]") for row in firsts]
        with terminal.progress(column.name, quiet=self.quiet or len(once) < SHOWN_FROM) as update:
            batch = {} if self.settings.batch is None else {"batch": self.settings.batch}
            rows, failures = self.encoder.images(_counted(once, update), errors="nan", **batch)
        good = ~np.isnan(rows[:, 0])
        if failures:
            self._tell([_named(failure, column.name, firsts) for failure in failures], column.name)
        if self.settings.missing == "zero":
            rows[~good] = 0
        return rows[places], good[places].astype(np.float32)

    def _tell(self, failures: Sequence[Failure], name: str) -> None:
        what = f"{len(failures)} of the pictures in column {name!r} cannot be used"
        lines = "".join(f"\n  {failure.key}: {failure.message}" for failure in failures)
        if self.settings.missing == "raise":
            ways = "repair or leave them out, or set data.image.missing_value_strategy to 'skip' (NaN rows) or 'zero'"
            texts = f"; if the column holds texts, say column_types={{{name!r}: 'text'}}" if self.kind is None else ""
            raise BadItems(f"{what} ({ways}{texts}):{lines}", failures)
        rows = "are zeros" if self.settings.missing == "zero" else "are NaN"
        warn(f"{what}, their rows {rows}:{lines}", PictureWarning)

    def _texts(self, texts: Sequence[str]) -> tuple[Rows, Mask]:
        """Each distinct text is embedded once; an empty one has a vector, but its mask is 0."""
        firsts, places = _distinct(texts)
        once = [texts[row] for row in firsts]
        return self.encoder.texts(once)[places], np.array([bool(text.strip()) for text in texts], np.float32)


def only(named: Mapping[str, T], what: str) -> T:
    """The one thing there is.

    Raises:
        UsageError: there are several, or none.
    """
    if len(named) != 1:
        raise UsageError(
            f"{what} has several kinds of embeddings, {', '.join(named)}: give one column, of pictures or of texts (texts "
            "together count as one), or say which by query=, response= and signature="
        )
    return next(iter(named.values()))


def _distinct(cells: Sequence[Any]) -> tuple[list[int], NDArray[np.intp]]:
    """The rows where something stands for the first time, and which of them each row is like.

    Texts and paths are compared, other things are the same or not; empty cells are never alike, so that each is named.
    """
    known: dict[Any, int] = {}
    firsts: list[int] = []
    places = np.empty(len(cells), np.intp)
    for row, cell in enumerate(cells):
        path = os.fspath(cell) if isinstance(cell, str | os.PathLike) else None
        key = ("row", row) if path == "" or is_empty(cell) else path or id(cell)
        if key not in known:
            known[key] = len(firsts)
            firsts.append(row)
        places[row] = known[key]
    return firsts, places


def _counted(pictures: Sequence[T], update: Callable[[Progress], None]) -> Iterable[T]:
    start, total = time.monotonic(), len(pictures)

    def taken() -> Iterator[T]:
        for done, one in enumerate(pictures, 1):
            yield one
            update(Progress(done, total, done, 0, time.monotonic() - start))

    return taken()


def _named(failure: Failure, name: str, firsts: Sequence[int]) -> Failure:
    found = _PLACE.fullmatch(failure.key)
    return Failure(f"{name}[{firsts[int(found[1])]}]", failure.code, failure.message) if found else failure
