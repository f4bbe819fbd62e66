"""How long a command takes from its start to its end: whole processes, files in memory, compiled towers on disk.

The collection has 10,000 items with random vectors of the model's width; the query goes through its text tower.
"""

import argparse
import statistics
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

import checkpoint
import glimpse
import measure
from glimpse.places import default_collection
from glimpse.values import Embedding, Item
from measure import Limit, Result

ITEMS, BATCH = 10_000, 1000
BIN = Path(sys.executable).parent
COMMANDS: dict[str, tuple[list[str], float | None]] = {  # what is typed → its parts, and the limit in seconds
    "glimpse --help": ([str(BIN / "glimpse"), "--help"], 0.2),
    'glimpse search "a carriage"': ([str(BIN / "glimpse"), "search", "a carriage"], 1.0),
    'python -c "import glimpse"': ([sys.executable, "-c", "import glimpse"], None),
    "python -c pass (nothing but Python)": ([sys.executable, "-c", "pass"], None),
}


def main() -> None:
    asked = _arguments()
    measure.prepare()
    _make_collection(checkpoint.make(asked.model))
    work = {name: partial(_run, command) for name, (command, _) in COMMANDS.items()}
    times = measure.in_turn(work, asked.rounds)
    measure.finish(
        Result(
            question=checkpoint.result_name("cold_start", asked.model),
            setup={"model": asked.model, "items": ITEMS, "runs of each": asked.rounds},
            limits=[_limit(name, taken, COMMANDS[name][1]) for name, taken in times.items()],
        ),
        keep=asked.keep,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=checkpoint.DEFAULT, choices=checkpoint.SIZES)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--no-keep", dest="keep", action="store_false", help="print only, write no results")
    return parser.parse_args()


def _make_collection(folder: Path) -> None:
    """Fill the default collection (of the benchmarks' own data folder) anew; one query compiles the text tower."""
    measure.say(f"making a collection of {ITEMS} items")
    encoder = glimpse.load(folder)
    path = default_collection()
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    random = np.random.default_rng(0)
    with glimpse.Collection(path, encoder) as collection:
        for start in range(0, ITEMS, BATCH):
            collection.add([_item(i) for i in range(start, start + BATCH)], _rows(random, encoder.dim))
        collection.search("a carriage")


def _item(place: int) -> Embedding:
    """An item that was never a file, and a digest of its own."""
    key = f"/pictures/{place:05}.jpg"
    return Embedding(Item(key, size=0, mtime_ns=0, origin=("folder", key)), place.to_bytes(32))


def _rows(random: np.random.Generator, dim: int) -> np.ndarray:
    rows = random.standard_normal((BATCH, dim), np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _run(command: Sequence[str]) -> None:
    """Run a command to its end; its output is looked at only when it failed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        measure.say(f"{' '.join(command)} failed: {done.stderr}")
        sys.exit(1)


def _limit(what: str, times: list[float], limit: float | None) -> Limit:
    return Limit(what, "s", statistics.median(times), times, limit)


if __name__ == "__main__":
    main()
