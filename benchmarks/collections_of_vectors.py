"""Collections of any number of vectors, filled through glimpse's public API: made once and kept. A row's place is its key's number.

A collection says which model made it, so it is that of a real checkpoint. Its text tower has random weights and knows nothing of the
vectors: where texts are to mean something, a `StandIn` has the tower compute, and answers with a text's vector of the same make.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import glimpse
import vectors
from glimpse.values import Embedding, Item
from measure import bench_folder, say
from vectors import Rows, Vectors

BATCH = 10_000
FILE = "photos.db"
FILES = ("", "-wal", "-shm")  # what a collection's own files end in; whatever else is in its folder is derived


def make(source: Vectors, encoder: glimpse.Encoder) -> Path:
    """Make the collection of these vectors, or take the one that is there; returns its file."""
    folder = bench_folder() / "collections" / f"{source.name}-{encoder.fingerprint[:8]}"
    if not folder.is_dir():
        say(f"making a collection of {len(source)} vectors")
        part = folder.with_name(f"{folder.name}.part")
        part.mkdir(parents=True, exist_ok=True)
        with glimpse.Collection(part / FILE, encoder) as collection:
            for start in range(len(collection), len(source), BATCH):
                rows = vectors.unit_rows(source.rows, start, start + BATCH)
                collection.add(named(start, len(rows)), rows)
        part.rename(folder)
    return folder / FILE


class StandIn:
    """An encoder whose texts are vectors given to it; each time, the real text tower computes as well."""

    def __init__(self, encoder: glimpse.Encoder, texts: Rows) -> None:
        """Take the place of an encoder."""
        self._encoder, self._texts = encoder, texts

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

    def texts(self, texts: Sequence[str]) -> Rows:
        """One of the vectors for each text, the same for the same."""
        self._encoder.texts(texts)
        return self._texts[[crc32(text.encode()) % len(self._texts) for text in texts]]


def forget_derived(collection: Path) -> None:
    """Delete what glimpse has made of a collection's file, to see how long that takes."""
    own = {f"{collection.name}{suffix}" for suffix in FILES}
    for path in collection.parent.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in own:
            path.unlink()


def named(first: int, count: int) -> list[Embedding]:
    """Items that were never files, each with a digest of its own."""
    return [_item(place) for place in range(first, first + count)]


def place(key: str) -> int:
    """The place of a row by its key."""
    return int(Path(key).stem)


def _item(number: int) -> Embedding:
    key = f"/photos/{number:07}.jpg"
    return Embedding(Item(key, size=0, mtime_ns=0, origin=("folder", key)), number.to_bytes(32))
