"""Tables whose rows name pictures or hold them: parquet, CSV, TSV, JSON lines. All other columns become metadata.

A row with a path or a URL is an item of that source, under its key there; a row with bytes is one of the table, under
`table#row`. Knows how cells are stored, not what is in the pictures.
"""

import base64
import binascii
import csv
import datetime as dt
import json
import math
import os
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, NamedTuple

from glimpse.errors import BadItem, MissingExtra, UsageError
from glimpse.sources import folder, is_url, remote
from glimpse.sources._rules import EVERYTHING, Rules
from glimpse.values import FAILURE_CODES, Failure, Item, Region, Selection

_HELD = ("image_bytes", "img_bytes", "video_bytes", "bytes", "image_base64", "image_b64", "base64", "b64")
_THINGS = ("image", "img", "picture", "photo", "video", "film", "jpg", "jpeg", "png", "webp", "mp4")
_PATHS = ("image_path", "img_path", "video_path", "path", "file_path", "filepath", "file_name", "filename", "file")
USUAL = (*_HELD, *_THINGS, *_PATHS, "image_url", "img_url", "video_url", "url", "image_uri", "uri")
CELL = 256 << 20  # bytes of one line of text at most
ROWS, HEAVY = 4096, 16  # of a parquet file that are in memory together, without pictures and with them
_ENCODED = re.compile(r"bytes|b64|base64", re.IGNORECASE)  # columns of text files that hold base64


class Row(NamedTuple):
    """One row: its number, where it is read from again (number or byte), and its cells; None where they cannot be told."""

    number: int
    at: int
    cells: dict[str, Any] | None


class Table(NamedTuple):
    """An open table: all its columns, those that may hold pictures, and its rows, read once for a column."""

    columns: Sequence[str]
    candidates: Sequence[str]
    rows: Callable[[Sequence[str]], Iterator[Row]]


def items(place: str, selection: Selection = EVERYTHING) -> Iterator[Item | Failure]:
    """What the rows of a table, or of all tables that a glob matches, name or hold, in their order.

    Patterns are about paths and URLs as they are written; rows with bytes have none. A row that cannot be used is a failure
    under `table#row`, where a column has names under `table#row row`: the number alone may be another row's name. So is a row
    with bytes by a name that was there already.

    Raises:
        UsageError: there is no such file, or it has no column by that name, or none that one would guess.
        MissingExtra: it is parquet, and pyarrow is not installed.
    """
    for table in folder.items(place):
        if isinstance(table, Failure):
            yield table
            continue
        try:
            yield from _items(str(table.origin[1]), selection)
        except BadItem as error:
            yield Failure(table.key, error.code, error.message)


def prefix(place: str) -> str:
    """The table's path; of a glob, that of the folder before its first *, ? or [."""
    return folder.prefix(place)


def covers(place: str, key: str) -> bool:
    """Whether a key is that of a row with bytes; pictures on their own may stay when a table names them no more."""
    return any(folder.covers(place, key[: sign.start()]) for sign in re.finditer("#", key))


def region(*_where: str | int) -> Region | None:
    """None: cells are compressed, or written as text."""
    return None


def read(path: str, at: int, column: str, _key_column: str, _name: str) -> bytes:
    """The bytes in a cell.

    Raises:
        BadItem: "vanished", "unreadable", "corrupt", "empty" or "memory".
        MissingExtra: it is parquet, and pyarrow is not installed.
    """
    with folder.explained():
        cell = _cell(path, at, column)
    found = None if cell is None else _content(cell, column)
    if not isinstance(found, bytes):
        raise BadItem("vanished", "the row has no bytes any more")
    return found


def is_gone(path: str, _at: int, _column: str, key_column: str, name: str) -> bool:
    """Whether there is no such table any more, or no row by this number or, where a column has names, by this name."""
    if folder.is_gone(path):
        return True
    try:
        stat = Path(path).stat()
        return name not in _names(path, key_column, stat.st_mtime_ns, stat.st_size)
    except (OSError, BadItem, UsageError):
        return False


@lru_cache(maxsize=2)
def _names(path: str, key_column: str, _mtime_ns: int, _size: int) -> frozenset[str]:
    """What the rows are called; time and size are there for the cache.

    Raises:
        BadItem: the table is damaged.
    """
    table = _open(path)
    rows = table.rows([key_column] if key_column else [])
    return frozenset(_name(row, key_column or None) for row in rows if not key_column or _is_named(row, key_column))


def _items(path: str, selection: Selection) -> Iterator[Item | Failure]:
    table = _open(path)
    column = _column(path, table, selection.column)
    if selection.key_column is not None and selection.key_column not in table.columns:
        raise UsageError(_no_column(path, table, f"no column {selection.key_column!r}", "--key-column"))
    names = set[int]()  # their hashes, a number for each row
    for row in table.rows([column, *(one for one in table.columns if one != column)]):
        try:
            for item in _offered(path, row, column, selection):
                if selection.key_column is not None and item.origin[0] == "table":
                    _remember(item.key, names)
                yield item
        except BadItem as error:
            number = row.number if selection.key_column is None else f"row {row.number}"
            yield Failure(f"{folder.key_of(path)}#{number}", error.code, error.message)


def _remember(key: str, names: set[int]) -> None:
    if hash(key) in names:
        raise BadItem("corrupt", "an earlier row has the same name")
    names.add(hash(key))


def _column(path: str, table: Table, asked: str | None) -> str:
    """The column that is asked for, or the first of the usual names that there is."""
    if asked is not None:
        if asked not in table.columns:
            raise UsageError(_no_column(path, table, f"no column {asked!r}", "--column"))
        return asked
    small = {name.lower(): name for name in reversed(table.candidates)}
    found = next((small[name] for name in USUAL if name in small), None)
    if found is None:
        raise UsageError(_no_column(path, table, "no column that is called like one with pictures", "--column"))
    return found


def _no_column(path: str, table: Table, what: str, option: str) -> str:
    names = ", ".join(table.columns) or "no columns at all"
    return f"{path} has {what}: name one with {option}; it has {names}"


def _offered(path: str, row: Row, column: str, selection: Selection) -> Iterator[Item]:
    if row.cells is None:
        raise BadItem("corrupt", "this row of the table cannot be parsed")
    found = _content(row.cells.get(column), column)
    metadata = {name: _plain(cell) for name, cell in row.cells.items() if name != column and not _is_bytes(cell)}
    if isinstance(found, bytes):
        yield _held(path, row, column, selection.key_column, found, metadata)
    elif Rules(replace(selection, hidden=True)).takes((found,)):
        yield replace(_named(path, found), metadata=metadata)


def _held(path: str, row: Row, column: str, key_column: str | None, data: bytes, metadata: dict[str, Any]) -> Item:
    """An item whose bytes are in the table; what tells whether it changed is made of them."""
    name = _name(row, key_column)
    digest = int.from_bytes(blake2b(data, digest_size=8).digest(), "big") >> 1
    origin = ("table", path, row.at, column, key_column or "", name)
    return Item(f"{folder.key_of(path)}#{folder.key_of(name)}", len(data), digest, origin, metadata)


def _name(row: Row, key_column: str | None) -> str:
    if key_column and not _is_named(row, key_column):
        raise BadItem("empty", f"its name in the column {key_column!r} is empty")
    value = _plain((row.cells or {})[key_column]) if key_column else row.number
    return value if isinstance(value, str) else json.dumps(value)


def _is_named(row: Row, key_column: str) -> bool:
    return (row.cells or {}).get(key_column) not in (None, "")


def _named(path: str, where: str) -> Item:
    """An item of another source: a URL, or a file whose relative path begins where the table is."""
    if is_url(where):
        try:
            return remote.item(where)
        except UsageError as error:
            raise BadItem("unreadable", folder.key_of(str(error))) from error
    return folder.item(os.path.normpath(Path(path).parent / where))


def _content(cell: Any, column: str) -> bytes | str:
    """A cell → bytes, or the path or URL that it has. Structs are as `datasets` writes them: bytes, or else a path.

    Raises:
        BadItem: "empty", or "corrupt" for what is none of these.
    """
    if isinstance(cell, dict):
        inner = "bytes" if cell.get("bytes") is not None else "path"
        return _content(cell.get(inner), inner)
    if cell is None or cell in ("", b""):
        raise BadItem("empty", "the cell is empty")
    if isinstance(cell, bytes):
        return cell
    if not isinstance(cell, str):
        raise BadItem("corrupt", f"the column {column!r} has neither a path nor a URL nor bytes here")
    if cell.startswith("data:"):
        return _decoded(cell.partition(",")[2])
    return _decoded(cell) if _ENCODED.search(column) else cell


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadItem("corrupt", "the cell is no base64") from error


def _is_bytes(cell: Any) -> bool:
    return isinstance(cell, bytes) or (isinstance(cell, dict) and any(map(_is_bytes, cell.values())))


def _plain(value: Any) -> Any:
    """A cell as JSON has it: dates are ISO text, numbers that are none are None; of what else there is, its text."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, dict):
        return {_plain(str(key)): _plain(one) for key, one in value.items() if not _is_bytes(one)}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value if not _is_bytes(one)]
    return str(value).encode("utf-8", "replace").decode()  # halves of characters cannot be stored


def _open(path: str) -> Table:
    """Look at a table's columns.

    Raises:
        BadItem: "empty", "corrupt", "vanished" or "unreadable".
    """
    with folder.explained():
        if not Path(path).stat().st_size:
            raise BadItem("empty", FAILURE_CODES["empty"])
        kind = Path(path).suffix.lower()
        opener = {".parquet": _open_parquet, ".csv": _open_csv, ".tsv": _open_csv}.get(kind, _open_jsonl)
        return opener(path)


def _cell(path: str, at: int, column: str) -> Any:
    stat = Path(path).stat()
    if path.lower().endswith(".parquet"):
        return _cells(path, column, stat.st_mtime_ns, stat.st_size).cell(at)
    rows = _csv_rows(path, at) if path.lower().endswith((".csv", ".tsv")) else _jsonl_rows(path, at)
    row = next(rows, None)
    return (row.cells or {}).get(column) if row else None


# Text: CSV, TSV, JSON lines --------------------------------------------------------------------------------------------


def _open_csv(path: str) -> Table:
    try:
        with Path(path).open("rb") as file:
            columns = next(_csv_reader(file, path), [])
    except csv.Error as error:
        raise BadItem("corrupt", "the first line of the table cannot be parsed") from error
    if "\0" in "".join(columns):
        raise BadItem("corrupt", "the table is not in UTF-8: save it as that")
    return Table(columns, columns, lambda _: _csv_rows(path))


def _csv_rows(path: str, at: int = 0) -> Iterator[Row]:
    """The rows from a byte on; 0: from the first. A row with more or fewer cells than there are columns has none."""
    with Path(path).open("rb") as file:
        reader = _csv_reader(file, path)
        columns, number = next(reader, []), 0
        file.seek(at or file.tell())
        while True:
            at = file.tell()
            try:
                row = next(reader, None)
            except csv.Error:
                row = [""] * (len(columns) + 1)
            if row is None:
                return
            if row:  # not an empty line
                yield Row(number, at, dict(zip(columns, row, strict=True)) if len(row) == len(columns) else None)
                number += 1


def _csv_reader(file: BinaryIO, path: str) -> Iterator[list[str]]:
    """Lines are handed over as they are asked for, so `file` stands at the row to come. Bytes that are not UTF-8 may be paths."""
    csv.field_size_limit(max(csv.field_size_limit(), CELL))  # for all of the process: there is no other
    first = file.readline(CELL)
    mark = b"\xef\xbb\xbf"  # as spreadsheets write it
    file.seek(len(mark) if first.startswith(mark) else 0)
    semicolons = b";" in first and b"," not in first
    delimiter = "\t" if path.lower().endswith(".tsv") else ";" if semicolons else ","
    lines = (line.decode("utf-8", "surrogateescape") for line in iter(lambda: file.readline(CELL), b""))
    return csv.reader(lines, delimiter=delimiter)


def _open_jsonl(path: str) -> Table:
    first = next((row.cells for row in _jsonl_rows(path) if row.cells), {})
    columns = list(first)
    return Table(columns, columns, lambda _: _jsonl_rows(path))


def _jsonl_rows(path: str, at: int = 0) -> Iterator[Row]:
    with Path(path).open("rb") as file:
        file.seek(at)
        number = 0
        while line := file.readline(CELL):
            if line.strip(b"\xef\xbb\xbf \t\r\n"):
                yield Row(number, at, _object(line))
                number += 1
            at = file.tell()


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


# Parquet ---------------------------------------------------------------------------------------------------------------


def _open_parquet(path: str) -> Table:
    file = _parquet(path)
    fields = [file.schema_arrow.field(number) for number in range(len(file.schema_arrow.names))]
    candidates = [field.name for field in fields if _may_hold(field.type)]
    heavy = {field.name for field in fields if _is_heavy(field)}  # read only where it is the one asked for

    def rows(wanted: Sequence[str]) -> Iterator[Row]:
        names = [
            name for name in file.schema_arrow.names if name in wanted[:1] or (name in wanted and name not in heavy)
        ]
        return _parquet_rows(file, names)

    return Table(file.schema_arrow.names, candidates, rows)


def _may_hold(kind: Any) -> bool:
    said = str(kind)
    return "string" in said or "binary" in said


def _is_heavy(field: Any) -> bool:
    return "binary" in str(field.type)


def _parquet(path: str) -> Any:
    try:
        import pyarrow as pa  # noqa: PLC0415  (an extra)
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtra(f"{path} needs pyarrow: pip install 'glimpse-search[parquet]'") from error
    try:
        return parquet.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False)  # pieces of columns, and not whole ones
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, PermissionError | FileNotFoundError):
            raise
        raise BadItem("corrupt", "it is no parquet file, or a damaged one") from error


def _parquet_rows(file: Any, names: Sequence[str]) -> Iterator[Row]:
    number = 0
    for batch in _batches(file, range(file.num_row_groups), names):
        columns = {name: _values(batch.column(name)) for name in batch.schema.names}
        for place in range(batch.num_rows):
            yield Row(number, number, {name: values[place] for name, values in columns.items()})
            number += 1


def _batches(file: Any, groups: Sequence[int], names: Sequence[str]) -> Iterator[Any]:
    """Batches of rows; a damaged page ends them.

    Raises:
        BadItem: "corrupt".
    """
    try:
        heavy = any(_is_heavy(file.schema_arrow.field(name)) for name in names)
        yield from file.iter_batches(
            HEAVY if heavy else ROWS, row_groups=list(groups), columns=list(names), use_threads=False
        )
    except Exception as error:
        if isinstance(error, MemoryError):
            raise
        raise BadItem("corrupt", "the table is damaged from here on") from error


def _values(column: Any) -> list[Any]:
    """A column as Python's values; times finer than a microsecond are cut, what Python has no date for is None."""
    import pyarrow as pa  # noqa: PLC0415  (an extra)

    try:
        if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
            column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
        return list(column.to_pylist())
    except (pa.ArrowException, ValueError, OverflowError):
        return [None] * len(column)


class _Cells:
    """One column of a parquet file for readers in several threads, which ask for rows nearly in order.

    Only a few batches are in memory; going back, or far ahead, begins again at the row group.
    """

    KEPT = 8  # batches

    def __init__(self, path: str, column: str) -> None:
        self._file, self._column, self._lock = _parquet(path), column, Lock()
        sizes = [self._file.metadata.row_group(group).num_rows for group in range(self._file.num_row_groups)]
        self._starts = [sum(sizes[:group]) for group in range(len(sizes))]
        self._kept: dict[int, Any] = {}  # first row → batch
        self._next = -1  # the first row of what `_ahead` gives next
        self._ahead: Iterator[Any] = iter(())

    def cell(self, row: int) -> Any:
        """A row's cell; None where there is no such row."""
        with self._lock:
            if (found := self._look_up(row)) is None:
                self._go_to(row)
                found = self._look_up(row)
            return found.as_py() if found is not None else None

    def _look_up(self, row: int) -> Any:
        for start, batch in self._kept.items():
            if start <= row < start + batch.num_rows:
                return batch.column(0)[row - start]
        return None

    def _go_to(self, row: int) -> None:
        group = bisect_right(self._starts, row) - 1
        if group >= 0 and not self._starts[group] <= self._next <= row:
            self._next = self._starts[group]
            self._ahead = _batches(self._file, range(group, len(self._starts)), [self._column])
        for batch in self._ahead:
            self._kept[self._next] = batch
            self._next += batch.num_rows
            for old in list(self._kept)[: -self.KEPT]:
                del self._kept[old]
            if row < self._next:
                return
        self._next = -1


@lru_cache(maxsize=4)
def _cells(path: str, column: str, _mtime_ns: int, _size: int) -> _Cells:
    """Time and size are there so that a changed file is opened again."""
    return _Cells(path, column)
