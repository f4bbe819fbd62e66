"""What is derived from a collection for searching it, as files in a folder beside it, which may be deleted at any time.

    search.json        what there is, and of which commit of the collection; written last, and whole
    NAME.rows          float16 (n, dim), appended to
    NAME.facts         of each row its frame, item and time, appended to
    NAME.npz           codes of the first rows
    NAME.queries       float16: what was asked lately of a model, to measure with (no words)

Readers map what the file of JSON names; nothing before the end that it names is ever changed. Checksums say that files are what they
were when they were written, the stamp of the commit says of what they were made. Knows no SQLite.
"""

import errno
import json
import os
import re
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from glimpse.atomic import replacing
from glimpse.search.codes import Codes
from glimpse.search.halves import Halves
from glimpse.search.recall import Reach
from glimpse.values import Rows

FORMAT = 1
FACTS = np.dtype([("frame", "<i8"), ("item", "<i8"), ("time", "<f8")])
KEPT_QUERIES = 1000
PATIENCE, TICK = 180.0, 0.02  # seconds that another process is waited for, and between two looks
_NAME = re.compile(r"[0-9a-f]{12}")
_OURS = re.compile(r"[0-9a-f]{12}\.(rows|facts|npz|queries)|\.[^/]+\.part")
_STEP = 1 << 24  # bytes read at a time


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the files hold.

    Attributes:
        commit, stamp: of the collection, that they were brought up to.
        model: what the rows were made with, as its fingerprint says.
        dim: of a row.
        name: what the names of its files begin with.
        rows: how many; `live` of them have not gone from the collection since.
        rows_sum, facts_sum: CRC-32 of both.
        dead: places of rows that are no more.
        coded: how many rows have codes, 0 where there are none; in how many `shards`; `codes` is what the name of their file begins with.
        fitted: how many rows there were when the codes' coordinates were fitted.
        asked: "captions" or "queries": what the codes were fitted to and measured with; `probes` how many.
        reaches: what was measured.
        measured: when, an ISO date.
    """

    commit: int
    stamp: str
    model: str
    dim: int
    name: str
    rows: int = 0
    rows_sum: int = 0
    facts_sum: int = 0
    dead: tuple[int, ...] = ()
    coded: int = 0
    codes: str = ""
    shards: int = 0
    fitted: int = 0
    asked: str = ""
    probes: int = 0
    reaches: tuple[Reach, ...] = ()
    measured: str = ""
    format: int = field(default=FORMAT)

    @property
    def live(self) -> int:
        """How many rows the collection has."""
        return self.rows - len(self.dead)


class Files:
    """The files in one folder. To change them, hold `changing`."""

    def __init__(self, folder: Path, mode: int = 0o700) -> None:
        """Name the folder, and who may read it once it is made; nothing is read or made."""
        self.folder, self._mode = folder, mode

    # Reading ----------------------------------------------------------------------------------------------------------

    def manifest(self) -> Manifest | None:
        """What there is; None where there is nothing, or nothing to be believed."""
        try:
            kept = json.loads((self.folder / "search.json").read_text("utf-8"))
            if kept.pop("sum") != _sum_of(kept) or kept["format"] != FORMAT:
                return None
            if not all(_NAME.fullmatch(name) for name in (kept["name"], kept["codes"] or kept["name"])):
                return None
            reaches = tuple(Reach(**one) for one in kept.pop("reaches"))
            return Manifest(**kept | {"dead": tuple(kept["dead"]), "reaches": reaches})
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def rows(self, of: Manifest) -> Halves:
        """Map the rows: float16 (n, dim).

        Raises:
            ValueError: they are not all there.
            OSError: the disk cannot be read.
        """
        with _all_there(of):
            return np.asarray(np.memmap(self.folder / f"{of.name}.rows", np.float16, "r", shape=(of.rows, of.dim)))

    def facts(self, of: Manifest) -> NDArray[np.void]:
        """Map the facts: FACTS (n,).

        Raises:
            ValueError: they are not all there, or not what was written.
            OSError: the disk cannot be read.
        """
        with _all_there(of):
            found = np.asarray(np.memmap(self.folder / f"{of.name}.facts", FACTS, "r", shape=(of.rows,)))
        if zlib.crc32(found.view(np.uint8).data) != of.facts_sum:
            raise ValueError(of.name)
        return found

    def codes(self, of: Manifest) -> Codes:
        """Read the codes, whose file has a checksum for each of its parts.

        Raises:
            ValueError: they are not all there, or not what was written.
            OSError: the disk cannot be read.
        """
        try:
            with (self.folder / f"{of.codes}.npz").open("rb") as file, np.load(file, allow_pickle=False) as kept:
                found = Codes.from_arrays(kept)
        except OSError as error:
            if error.errno not in (
                errno.ENOENT,
                errno.EINVAL,
            ):  # the latter, where it says of a part that it begins before 0
                raise
            raise ValueError(of.codes) from error
        except Exception as error:  # nearly anything, of a damaged archive
            raise ValueError(of.codes) from error
        if len(found) != of.coded:
            raise ValueError(of.name)
        return found

    def is_whole(self, of: Manifest) -> bool:
        """Whether all bytes are what was written; reads everything."""
        try:
            self.facts(of)
            self.codes(of)
            return _sum_of_file(self.folder / f"{of.name}.rows", of.rows * of.dim * 2) == of.rows_sum
        except (OSError, ValueError):
            return False

    # Writing ----------------------------------------------------------------------------------------------------------

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Be the only process that changes the files; waits for others, though not for ever.

        Raises:
            OSError: the folder cannot be written, or another process does not come to an end.
        """
        import fcntl  # noqa: PLC0415  (Unix)

        self.folder.mkdir(parents=True, exist_ok=True, mode=self._mode)
        with (self.folder / "lock").open("a") as file:
            until = time.monotonic() + PATIENCE
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > until:
                        raise
                    time.sleep(TICK)
            yield

    def begun(self, model: str, dim: int) -> Manifest:
        """A new set of files, which takes the place of what there is when it is `keep`-ed."""
        return Manifest(0, "", model, dim, _new_name())

    def appended(self, to: Manifest, halves: Halves, facts: NDArray[np.void]) -> Manifest:
        """Write rows behind those that there are; they count once the manifest is kept."""
        rows, more = (np.ascontiguousarray(one).view(np.uint8) for one in (halves, facts))
        _write(self.folder / f"{to.name}.rows", to.rows * to.dim * 2, rows)
        _write(self.folder / f"{to.name}.facts", to.rows * FACTS.itemsize, more)
        return replace(
            to,
            rows=to.rows + len(halves),
            rows_sum=zlib.crc32(rows.data, to.rows_sum),
            facts_sum=zlib.crc32(more.data, to.facts_sum),
        )

    def put_codes(self, to: Manifest, codes: Codes) -> Manifest:
        """Write codes of all rows."""
        name = _new_name()
        with replacing(self.folder / f"{name}.npz") as part, part.open("wb") as file:
            np.savez(file, allow_pickle=False, **codes.arrays())
            file.flush()
            os.fsync(file.fileno())
        return replace(to, coded=len(codes), codes=name, shards=len(codes.shards))

    def keep(self, manifest: Manifest) -> None:
        """Have the files be what a manifest says, once and for all; takes away what it does not name."""
        kept = {**asdict(manifest), "dead": list(manifest.dead)}
        kept = json.loads(json.dumps(kept))
        for name in (f"{manifest.name}.rows", f"{manifest.name}.facts"):
            with (self.folder / name).open("rb") as file:
                os.fsync(file.fileno())
        with replacing(self.folder / "search.json") as part, part.open("w", encoding="utf-8") as file:
            json.dump(kept | {"sum": _sum_of(kept)}, file)
            file.flush()
            os.fsync(file.fileno())
        self._tidy(
            {f"{manifest.name}.rows", f"{manifest.name}.facts", f"{manifest.codes}.npz", _queries_of(manifest.model)}
        )

    def _tidy(self, named: set[str]) -> None:
        """Take away files of ours that are not named any more, and what a killed process left; nobody else is writing."""
        for path in self.folder.iterdir():
            if _OURS.fullmatch(path.name) and path.name not in named:
                path.unlink(missing_ok=True)

    def drop(self, name: str) -> None:
        """Take away new files that will not be kept, so that a disk that is full is not kept full."""
        for ending in ("rows", "facts"):
            with suppress(OSError):
                (self.folder / f"{name}.{ending}").unlink(missing_ok=True)

    def forget(self, manifest: Manifest) -> None:
        """Take a manifest away, if it is still the one: nothing that it named is believed any more."""
        with suppress(OSError), self.changing():
            if self.manifest() == manifest:
                (self.folder / "search.json").unlink(missing_ok=True)

    # What was asked ---------------------------------------------------------------------------------------------------

    def queries(self, model: str, dim: int) -> Rows:
        """What was asked lately of a model: float32 (q, dim)."""
        try:
            found = np.fromfile(self.folder / _queries_of(model), np.float16)
        except OSError:
            found = np.empty(0, np.float16)
        whole = found[: len(found) // dim * dim].reshape(-1, dim)[-KEPT_QUERIES:].astype(np.float32)
        lengths = np.linalg.norm(whole, axis=1)
        good = np.isfinite(lengths) & (np.abs(lengths - 1) < 0.01)  # noqa: PLR2004  (what was cut short is no row)
        return np.unique(
            np.asarray(whole[good] / lengths[good, None], np.float32), axis=0
        )  # what is asked daily counts once

    def remember(self, model: str, queries: Rows) -> None:
        """Note what was asked of a model; it matters to nobody whether that succeeds."""
        path = self.folder / _queries_of(model)
        with suppress(OSError):
            if path.exists() and path.stat().st_size > 2 * KEPT_QUERIES * queries.shape[1] * 2:
                lately = self.queries(model, queries.shape[1]).astype(np.float16)
                with replacing(path) as part:
                    part.write_bytes(lately.tobytes())
            with path.open("ab") as file:
                file.truncate(
                    file.tell() // (2 * queries.shape[1]) * 2 * queries.shape[1]
                )  # a row may have been cut short
                file.write(queries.astype(np.float16).tobytes())


@contextmanager
def _all_there(of: Manifest) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise ValueError(of.name) from error


def _new_name() -> str:
    return uuid4().hex[:12]


def _queries_of(model: str) -> str:
    return f"{model[:12]}.queries"


def _write(path: Path, offset: int, array: NDArray[np.uint8]) -> None:
    with path.open("r+b" if path.exists() else "w+b") as file:
        file.truncate(offset)
        file.seek(offset)
        file.write(array.data)


def _sum_of(kept: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(kept, sort_keys=True).encode())


def _sum_of_file(path: Path, size: int) -> int:
    total, left = 0, size
    with path.open("rb") as file:
        while left and (block := file.read(min(_STEP, left))):
            total, left = zlib.crc32(block, total), left - len(block)
    return total
