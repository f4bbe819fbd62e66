"""Data as AutoGluon's users hand it over → named columns, each of pictures or of texts. Knows no model.

What a column holds is told by what its cells are, never by how many of them can be read: a path that leads nowhere is still
a path, and fails as one. Pandas is not imported: a data frame brings its own.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from glimpse.automm.cells import is_empty, is_picture_file, is_picture_object, looks_like_picture
from glimpse.automm.presets import Kind
from glimpse.errors import MissingExtra, UsageError

LIST = "0"  # what AutoGluon calls the column of a list

# Of AutoGluon's column types, those that a CLIP takes.
COLUMN_TYPES: Mapping[str, Kind] = {
    "image": "image",
    "image_path": "image",
    "image_bytearray": "image",
    "image_base64_str": "image",
    "text": "text",
}

# A column called so holds pictures, even where none of its cells looks like one.
_NAMES = re.compile(r"(?:\w+_)?(?:image|img|picture|photo)s?(?:_?(?:path|file|filename)s?)?", re.IGNORECASE)
_TABLES = {".csv": "read_csv", ".parquet": "read_parquet", ".pq": "read_parquet"}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its cells as they were given."""

    name: str
    kind: Kind
    cells: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Table:
    """Columns of equal length, and the index of the data frame that they came from, or None."""

    columns: Mapping[str, Sequence[Any]]
    index: Any = None
    listed: bool = False  # it was a list: what its column is called was not said

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))


# Data → columns ---------------------------------------------------------------------------------------------------------


def table(data: Any, header: str = LIST) -> Table:
    """Read what was handed over: a dict, a data frame, a list, a series, or the path of a picture or of a CSV file.

    Args:
        data: the columns, or the cells of one.
        header: what that one is called.

    Raises:
        UsageError: it is none of these, empty, or its columns differ in length.
    """
    if isinstance(data, Table):
        return data
    if isinstance(data, str | os.PathLike):
        return _of_path(os.fspath(data), header)
    index = getattr(data, "index", None) if hasattr(data, "iloc") else None
    if isinstance(data, Mapping) or hasattr(data, "columns"):
        columns = {str(name): _cells(data[name], f"column {name!r}") for name in _names(data)}
    else:
        name = getattr(data, "name", None) if index is not None else None
        columns = {header if name is None else str(name): _cells(data, "data")}
    lengths = {name: len(cells) for name, cells in columns.items()}
    if not lengths:
        raise UsageError("the data has no column: give {'image': [paths]}, {'text': [texts]}, or a list")
    if len(set(lengths.values())) > 1:
        raise UsageError(f"the columns differ in length: {lengths}")
    return Table(columns, index, listed=index is None and not (isinstance(data, Mapping) or hasattr(data, "columns")))


def _names(data: Any) -> list[Any]:
    names = list(data if isinstance(data, Mapping) else data.columns)
    if len({str(name) for name in names}) < len(names):
        raise UsageError(f"two columns have the same name: {', '.join(map(str, names))}")
    return names


def _cells(values: Any, what: str) -> Sequence[Any]:
    single = isinstance(values, str | bytes | os.PathLike | Image.Image | Mapping) or hasattr(values, "columns")
    if isinstance(values, set | frozenset):
        raise UsageError(f"{what} is a {type(values).__name__}, which has no order: give a list")
    if single or not isinstance(values, Iterable) or (isinstance(values, np.ndarray) and not values.ndim):
        raise UsageError(f"{what} is a single {type(values).__name__}: put it into a list")
    if isinstance(values, np.ndarray) and values.dtype.kind not in "OUS" and values.ndim not in {1, 4}:
        raise UsageError(f"{what} is an array of {values.dtype} {values.shape}: put a picture into a list")
    return list(values)


def _of_path(path: str, header: str) -> Table:
    reader = _TABLES.get(Path(path).suffix.lower())
    if reader and "://" not in path:
        library = pandas(f"{path} is a table, and to read it")
        try:
            return table(getattr(library, reader)(os.path.expanduser(path)))  # noqa: PTH111
        except (OSError, ValueError, ImportError) as error:  # pandas' and Arrow's own are ValueErrors
            raise UsageError(f"{path} cannot be read as a table ({type(error).__name__}): check it") from None
    if looks_like_picture(path):
        return Table({header: [path]}, listed=True)
    raise UsageError(f"{path[:60]!r} is a single text, or no file: put texts into a list, [{path[:60]!r}]")


def pandas(why: str) -> Any:
    """The library, for what cannot be done without it.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import pandas as library  # noqa: ICN001, PLC0415  (heavy, and only for those who ask)
    except ImportError:
        raise MissingExtra(f"{why} takes pandas: pip install 'glimpse-search[automm]'") from None
    return library


def with_contents(given: Table, id_mappings: Mapping[str, Any] | None, *, all_here: bool = True) -> Table:
    """Put the contents in place of the identifiers: `id_mappings` is column → a dict or series, id → content.

    Args:
        given: the data.
        id_mappings: what to put; None for nothing.
        all_here: whether one of its columns at least must be in the data.

    Raises:
        UsageError: an identifier has no content, or there is no such column.
    """
    if not id_mappings:
        return given
    found = given.columns.keys() & id_mappings.keys()
    if all_here and not found:
        names = ", ".join(map(repr, id_mappings))
        raise UsageError(
            f"id_mappings is for {names}, and the data has {', '.join(map(repr, given.columns))}: check the names"
        )
    columns = dict(given.columns)
    for name in found:
        contents = id_mappings[name]
        lost = [identifier for identifier in columns[name] if identifier not in contents]
        if lost:
            raise UsageError(
                f"id_mappings[{name!r}] lacks {len(lost)} of the identifiers: {', '.join(map(repr, lost[:5]))}"
            )
        columns[name] = [contents[identifier] for identifier in columns[name]]
    return replace(given, columns=columns)


# What a column holds ----------------------------------------------------------------------------------------------------


def kind_of(name: str, cells: Sequence[Any], *, by_name: bool = True) -> Kind:
    """Whether a column holds pictures or texts.

    Pictures: bytes, `Path`s, Pillow pictures, arrays; base64 of a picture; strings of which one at least is the path of a file
    that is there, or half are spelt like paths or names of picture files (`/…/…`, `….jpg`); single words in a column called
    "image", "photo_path" or the like, unless `by_name` is False. All other strings are texts.

    Raises:
        UsageError: it holds neither, or nothing.
    """
    strings = [cell for cell in cells if isinstance(cell, str)]
    others = [cell for cell in cells if not isinstance(cell, str) and not is_empty(cell)]
    for cell in others:
        _demand_picture(name, cell)
    said = [cell for cell in strings if cell.strip()]
    called = by_name and bool(_NAMES.fullmatch(name)) and not any(re.search(r"\s", cell.strip()) for cell in said)
    if others or (called and cells) or any(map(is_picture_file, strings)):
        return "image"
    if said and len(said) <= 2 * sum(map(looks_like_picture, said)):
        return "image"
    if cells and not strings:
        raise UsageError(
            f"column {name!r} is empty, and nothing tells whether it is of pictures or texts: leave it out, or give "
            f"column_types={{{name!r}: 'image'}}"
        )
    return "text"


def _demand_picture(name: str, cell: Any) -> None:
    if not is_picture_object(cell):
        raise UsageError(
            f"column {name!r} holds a {type(cell).__name__}, which is neither a picture nor a text: leave the column out, or "
            "make texts of it"
        )


# Texts ----------------------------------------------------------------------------------------------------------------


def texts(columns: Sequence[Column]) -> list[str]:
    """One text a row: the cells of all the columns, in the order of their names, with a space between, as AutoGluon has it.

    Raises:
        UsageError: a cell is no text.
    """
    for column in columns:
        wrong = [row for row, cell in enumerate(column.cells) if not isinstance(cell, str) and not is_empty(cell)]
        if wrong:
            cell = column.cells[wrong[0]]
            raise UsageError(f"{column.name}[{wrong[0]}] is a {type(cell).__name__}, not a text")
    rows = zip(*([cell if isinstance(cell, str) else "" for cell in column.cells] for column in columns), strict=True)
    return [" ".join(row) for row in rows]
