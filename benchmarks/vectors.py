"""Vectors to search in, of the shape that CLIP's have, and texts' to search with: made once and kept, or a person's own.

Pictures' vectors share a direction, lie in clusters, and their spectrum decays. Texts' lie in another cone: a text's cosine to its
best pictures is some 0.1 to 0.35, and to the others hardly less (the modality gap, Liang et al. 2022). So texts are outliers to any
index of pictures: one that was tuned by pictures finds less by texts, and one tuned by vectors drawn at random says nothing.

Rows are kept in float16 and are what everybody searches in: nobody is asked for differences that were rounded away.
"""

import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from measure import bench_folder, say

Rows = NDArray[np.float32]

QUERIES = 1000
BLOCK = 50_000  # rows at a time
PER_CLUSTER = 50
SHARED, OWN = 0.6, 0.8  # of a picture: the direction of all pictures, and what it shows
CONE, MEANT, NOISE = 0.85, 0.45, 0.5  # of a text: the direction of all texts, what it means, and what only words say


@dataclass(frozen=True, slots=True)
class Vectors:
    """A file of float16 (n, dim) rows, and float32 (q, dim) queries of unit length; texts are more such, to learn from."""

    name: str
    rows: Path
    queries: Rows
    texts: Rows

    def __len__(self) -> int:
        return len(np.load(self.rows, mmap_mode="r"))


def own(rows: Path, queries: Path, dim: int) -> Vectors:
    """A person's own: .npy files of any float, (n, dim) and (q, dim), every other of which is to learn from."""
    given, asked = np.load(rows, mmap_mode="r"), np.load(queries)
    if given.ndim != 2 or given.shape[1] != dim or asked.shape[1:] != (dim,):
        say(
            f"vectors are {given.shape}, queries {asked.shape}, and the model has {dim} dimensions: choose another --model"
        )
        sys.exit(2)
    version = hashlib.sha256(f"{rows.resolve()} {rows.stat().st_mtime_ns}".encode()).hexdigest()[:8]
    target = _folder() / f"{rows.stem}-{version}.npy"
    _keep(target, given.shape, (given[start : start + BLOCK] for start in range(0, len(given), BLOCK)))
    return Vectors(target.stem, target, _unit(asked[::2]), _unit(asked[1::2]))


def make(count: int, dim: int) -> Vectors:
    """Make so many, or take those that are there."""
    random = np.random.default_rng(0)
    spectrum = np.arange(1, dim + 1) ** -0.5
    spectrum /= np.sqrt((spectrum**2).mean())
    pictures, texts = _unit(random.standard_normal((2, dim), np.float32))
    centres = random.standard_normal((max(count // PER_CLUSTER, 1), dim), np.float32) * spectrum

    def shown(amount: int) -> Rows:
        near = centres[random.integers(0, len(centres), amount)]
        return _unit(near + random.standard_normal((amount, dim), np.float32) * spectrum)

    noise = random.standard_normal((2 * QUERIES, dim), np.float32) / np.sqrt(dim)
    asked = _unit(CONE * texts + MEANT * shown(2 * QUERIES) + NOISE * noise)
    sizes = (min(BLOCK, count - start) for start in range(0, count, BLOCK))
    target = _folder() / f"text-like-{count}-{dim}.npy"
    _keep(target, (count, dim), (SHARED * pictures + OWN * shown(size) for size in sizes))
    return Vectors(target.stem, target, asked[:QUERIES], asked[QUERIES:])


def unit_rows(path: Path, start: int = 0, stop: int | None = None) -> Rows:
    """Rows of a kept file as float32 of unit length, which rounding took away."""
    return _unit(np.load(path, mmap_mode="r")[start:stop].astype(np.float32))


def exact(vectors: Vectors, queries: Rows, k: int) -> NDArray[np.int64]:
    """The k rows with the highest cosines to each query, best first: (q, k)."""
    places: NDArray[np.int64] = np.empty((len(queries), 0), np.int64)
    scores: Rows = np.empty((len(queries), 0), np.float32)
    for start in range(0, len(vectors), BLOCK):
        found = queries @ unit_rows(vectors.rows, start, start + BLOCK).T  # (q, block)
        best = np.argpartition(found, -k, axis=1)[:, -k:]
        places = np.concatenate([places, best + start], 1)
        scores = np.concatenate([scores, np.take_along_axis(found, best, 1)], 1)
        order = np.argsort(-scores, axis=1)[:, :k]
        places, scores = np.take_along_axis(places, order, 1), np.take_along_axis(scores, order, 1)
    return places


def _keep(target: Path, shape: tuple[int, ...], blocks: Iterator[NDArray[np.floating]]) -> None:
    """Write rows, unless they are there: under the final name only when whole."""
    if target.is_file():
        return
    say(f"making {target.name}")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    rows = open_memmap(part, "w+", np.float16, shape)
    start = 0
    for block in blocks:
        rows[start : start + len(block)] = _unit(block.astype(np.float32))
        start += len(block)
    rows.flush()
    part.replace(target)


def _folder() -> Path:
    return bench_folder() / "vectors"


def _unit(rows: NDArray[np.floating]) -> Rows:
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), np.float32)
