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
from numpy.typing import NDArray

from glimpse.atomic import replacing
from glimpse.embedding import Profile, embedded
from glimpse.encoder import Encoder
from glimpse.errors import MissingExtra, UsageError
from glimpse.listing import Listing
from glimpse.pipeline import listed
from glimpse.values import Failure, Progress, Rows, Selection, frame_key
from glimpse.workers.events import Task
from glimpse.workers.pool import Pool
from glimpse.workers.recipe import Recipe

EMBEDDINGS = (".npy", ".parquet")
FAILURES = (".csv", ".json")
EVERY = 0.5  # seconds between two reports of progress


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


def files(places: Sequence[str]) -> Listing:
    """What there is in places.

    Raises:
        UsageError: a place is not there, or holds nothing.
    """
    return Listing(listed(places, Selection()))


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


def pictures(encoder: Encoder, items: Listing, progress: Callable[[Progress], None]) -> Embedded:
    """Embed pictures, and the frames of films; bad ones are left out of keys and rows, and named."""
    began = last = time.monotonic()
    rules = encoder.card.pixels
    places = {item.key: place for place, item in enumerate(items)}
    found: dict[tuple[int, float], tuple[str, NDArray[np.float32]]] = {}  # by the place of the item, and the time in it
    failures = list(items.failures.values())
    ended = 0
    with Pool(Recipe(rules.size, rules, parity=encoder.parity, fidelity=encoder.fidelity)) as pool:
        for batch in embedded(encoder, pool.run(map(Task, items)), Profile(1)):
            for frame, row in zip(batch.frames, batch.rows, strict=True):
                key = frame_key(frame.item.key, frame.time)
                found[places[frame.item.key], frame.time or 0.0] = (key, row)
            failures += [ending.failure for ending in batch.endings if ending.failure]
            ended += len(batch.endings)
            if time.monotonic() - last > EVERY or ended == len(places):
                last = time.monotonic()
                progress(Progress(ended, len(places), ended - len(failures), len(failures), last - began, len(found)))
    ordered = [found[place] for place in sorted(found)]
    rows = np.stack([row for _, row in ordered]) if ordered else np.empty((0, encoder.dim), np.float32)
    return Embedded([key for key, _ in ordered], rows, sorted(failures, key=lambda one: places.get(one.key, -1)))


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
