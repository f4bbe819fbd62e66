"""Files for other programs: embeddings as .npy with the rows' names beside it, or .parquet; failures as .csv or .json.

Knows no collection.
"""

import csv
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from glimpse.atomic import replacing
from glimpse.encoder import Encoder
from glimpse.errors import MissingExtra, UsageError
from glimpse.sources import folder
from glimpse.values import Failure, Item, Progress, Rows

EMBEDDINGS = (".npy", ".parquet")
FAILURES = (".csv", ".json")
STEP = 256  # pictures between two reports of progress


@dataclass(frozen=True, slots=True)
class Embedded:
    """Names with their float32 (n, dim) rows, and what could not be embedded."""

    keys: list[str]
    rows: Rows
    failures: list[Failure]


def check(output: Path, kinds: tuple[str, str] = EMBEDDINGS) -> None:
    """Refuse an output that could not be written, before any work is done.

    Raises:
        UsageError: neither of the two kinds, or no such folder.
        MissingExtra: .parquet without pyarrow.
    """
    if output.suffix not in kinds:
        raise UsageError(f"{output} is neither {' nor '.join(kinds)}: choose one of them")
    if output.is_dir():
        raise UsageError(f"{output} is a folder: name a file")
    if not output.parent.is_dir():
        raise UsageError(f"there is no folder {output.parent}: make it, or name another")
    if output.suffix == ".parquet" and find_spec("pyarrow") is None:
        raise MissingExtra(".parquet needs pyarrow: pip install 'glimpse-search[parquet]', or choose .npy")


def files(places: Sequence[Path]) -> list[Item]:
    """The files in places, in order.

    Raises:
        UsageError: a place is not there, or there is no file at all.
    """
    found = [item for place in places for item in folder.items(folder.root(place))]
    if not found:
        raise UsageError(f"there are no files in {', '.join(map(str, places))}: name a folder with pictures")
    return found


def lines(path: Path) -> list[str]:
    """The lines of a text file, empty ones left out.

    Raises:
        UsageError: it cannot be read, or has no line.
    """
    try:
        found = [line.rstrip("\r") for line in path.read_text("utf-8-sig").split("\n") if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as UTF-8 text: check its name and contents") from error
    if not found:
        raise UsageError(f"{path} has no text: put one on each line")
    return found


def texts(encoder: Encoder, asked: Sequence[str]) -> Embedded:
    """Embed texts, which cannot fail."""
    return Embedded(list(asked), encoder.texts(asked), [])


def pictures(encoder: Encoder, items: Sequence[Item], progress: Callable[[Progress], None]) -> Embedded:
    """Embed picture files; bad ones are left out of keys and rows, and named."""
    began = time.monotonic()
    blocks: list[Rows] = [np.empty((0, encoder.dim), np.float32)]
    failures: list[Failure] = []
    for start in range(0, len(items), STEP):
        rows, bad = encoder.images(items[start : start + STEP], errors="nan")
        blocks.append(rows)
        failures += bad
        done = start + len(rows)
        progress(Progress(done, len(items), done - len(failures), len(failures), time.monotonic() - began))
    rows = np.concatenate(blocks)
    good = ~np.isnan(rows[:, 0])
    return Embedded([item.key for item, is_good in zip(items, good, strict=True) if is_good], rows[good], failures)


def write(output: Path, keys: Sequence[str], rows: Rows) -> None:
    """Write rows with their names: under the final name only when whole.

    Raises:
        UsageError: the place cannot be written.
    """
    try:
        with replacing(output) as part:
            (_write_npy if output.suffix == ".npy" else _write_parquet)(part, keys, rows)
        if output.suffix == ".npy":
            with replacing(output.with_suffix(".keys.json")) as part:
                part.write_text(json.dumps(list(keys), indent=0))
    except OSError as error:
        raise UsageError(f"{output} cannot be written ({error.strerror}): name another place") from error


def _write_npy(path: Path, _keys: Sequence[str], rows: Rows) -> None:
    with path.open("wb") as stream:  # np.save adds .npy to names
        np.save(stream, rows)


def _write_parquet(path: Path, keys: Sequence[str], rows: Rows) -> None:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    vectors = pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), rows.shape[1])
    pq.write_table(pa.table({"key": pa.array(list(keys)), "vector": vectors}), path)


def failures(output: Path, found: Sequence[Failure]) -> None:
    """Write what failed, one row each with key, code and message: under the final name only when whole.

    Raises:
        UsageError: the place cannot be written.
    """
    rows = [asdict(failure) for failure in found]
    try:
        with replacing(output) as part, part.open("w", encoding="utf-8", newline="") as stream:
            if output.suffix == ".json":
                json.dump(rows, stream, ensure_ascii=False, indent=1)
            else:
                table = csv.DictWriter(stream, ["key", "code", "message"])
                table.writeheader()
                table.writerows(rows)
    except OSError as error:
        raise UsageError(f"{output} cannot be written ({error.strerror}): name another place") from error
