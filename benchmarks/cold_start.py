"""How long a command takes from its start to its end: whole processes, files in memory, compiled towers on disk.

Collections have vectors of the shape that CLIP's have (vectors.py), of the model's width; the query goes through its text tower. What
glimpse derives from a collection is made before.
"""

import argparse
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import checkpoint
import collections_of_vectors
import glimpse
import measure
import vectors
from measure import Limit, Result

SIZES = {10_000: 1.0, 1_000_000: 1.3}  # items → the limit of a search in seconds
BIN = Path(sys.executable).parent

Commands = Mapping[str, tuple[Sequence[str], float | None]]  # what is typed → its parts, and the limit in seconds
PLAIN: Commands = {
    "glimpse --help": ([str(BIN / "glimpse"), "--help"], 0.2),
    'python -c "import glimpse"': ([sys.executable, "-c", "import glimpse"], None),
    "python -c pass (nothing but Python)": ([sys.executable, "-c", "pass"], None),
}


def main() -> None:
    asked = _arguments()
    measure.prepare()
    encoder = glimpse.load(checkpoint.make(asked.model))
    commands = {**PLAIN, **{_name(size): _search(encoder, size) for size in asked.sizes}}
    work = {name: partial(_run, command) for name, (command, _) in commands.items()}
    times = measure.in_turn(work, asked.rounds)
    measure.finish(
        Result(
            question=checkpoint.result_name("cold_start", asked.model),
            setup={"model": asked.model, "runs of each": asked.rounds},
            limits=[_limit(name, taken, commands[name][1]) for name, taken in times.items()],
        ),
        keep=asked.keep,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=checkpoint.DEFAULT, choices=checkpoint.SIZES)
    parser.add_argument("--sizes", type=int, nargs="+", default=[*SIZES], help="how many items the collections have")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--no-keep", dest="keep", action="store_false", help="print only, write no results")
    return parser.parse_args()


def _name(size: int) -> str:
    return f'glimpse search "a carriage", {size:,} items'


def _search(encoder: glimpse.Encoder, size: int) -> tuple[Sequence[str], float | None]:
    path = collections_of_vectors.make(vectors.make(size, encoder.dim), encoder)
    with glimpse.Collection(path, encoder) as collection:
        collection.prepare_search()
    return [str(BIN / "glimpse"), "search", "--collection", str(path), "a carriage"], SIZES.get(size)


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
