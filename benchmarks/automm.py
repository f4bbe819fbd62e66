"""`MultiModalPredictor` of glimpse.automm beside AutoGluon's: import, one text, many pictures, memory; in one run.

AutoGluon needs an environment of its own (about 6 GB), nothing of glimpse:

    python -m venv ag && ag/bin/pip install "autogluon.multimodal==1.6.3" "setuptools<81"
    .venv/bin/python benchmarks/automm.py --autogluon ag/bin/python

Every contestant is a process of its own (automm_worker.py) that waits while another has its turn. Both libraries get the same
calls, and compute with as many threads as they choose by themselves.
"""

import argparse
import operator
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import checkpoint
import glimpse
import measure
import pictures
from automm_worker import Ended, Worker
from measure import Agreement, Comparison, Figure, Limit, Result

OURS, THEIRS = "glimpse.automm", "autogluon.multimodal"
GLIMPSE, AUTOGLUON = "glimpse", "AutoGluon"
QUIET = {"AUTOMM_TUTORIAL_MODE": "1", "HF_HUB_OFFLINE": "1"}  # no bars, and the checkpoint is on disk
TEXT = "a carriage"
REALTIME = ", realtime=True"
FIRST, LATER = ", towers compiled in it", ", compiled towers on disk"

IMPORT_LIMIT = 0.3  # seconds, of the whole process
TEXT_TARGETS = {"": 15.0, REALTIME: 4.0}  # in the default precision, against either way of AutoGluon's
IMAGES_TARGETS = {"default": 3.0, "float32": 2.5}
MEMORY_TARGET = 1.0  # not more than AutoGluon takes
MEMORY_LIMITS = {"ViT-B-32": 1.6, "ViT-L-14": 2.7}  # GB

Rounds = Mapping[str, Sequence[float]]  # contestant → one measurement a round
Pair = tuple[str, str]  # ours, theirs
Workers = Mapping[str, Worker]


@dataclass(frozen=True, slots=True)
class Contestant:
    """A library, the Python that has it, and what its predictor is made of."""

    python: str
    library: str
    hyperparameters: Mapping[str, Any]

    def start(self, **environment: str) -> Worker:
        """Start a worker that has a predictor."""
        worker = Worker(self.python, self.library, QUIET | environment)
        worker.ask("load", hyperparameters=self.hyperparameters)
        return worker


@dataclass(frozen=True, slots=True)
class Part:
    """What one of the four parts found."""

    figures: Sequence[Figure]
    comparisons: Sequence[Comparison]
    limits: Sequence[Limit] = ()


def main() -> None:
    asked = _arguments()
    measure.prepare()
    if not asked.autogluon:
        measure.say("only glimpse is measured, and nothing is kept: --autogluon PYTHON names a Python with AutoGluon")
    folder, paths = _checkpoint(asked.model), [str(path) for path in pictures.take(asked.count)]
    try:
        result = _result(_contestants(folder, asked.autogluon), paths, asked)
    except Ended as ended:
        measure.say(f"a worker ended; what it said last:\n{ended}")
        sys.exit(2)
    measure.finish(result, keep=asked.keep and asked.autogluon is not None)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--autogluon", metavar="PYTHON", help="the Python of an environment that has AutoGluon")
    parser.add_argument("--model", default=checkpoint.DEFAULT, choices=checkpoint.SIZES)
    parser.add_argument("--count", type=int, default=200, help="how many pictures; AutoGluon takes few for texts")
    parser.add_argument("--calls", type=int, default=10, help="how many texts in a row, in every round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--processes", type=int, default=3, help="how many of each, to see how much memory they take")
    parser.add_argument("--no-keep", dest="keep", action="store_false", help="print only, write no results")
    asked = parser.parse_args()
    if asked.autogluon and not shutil.which(asked.autogluon):
        parser.error(f"there is no program {asked.autogluon!r}: name the Python of an environment that has AutoGluon")
    return asked


def _checkpoint(model: str) -> str:
    """Make the checkpoint in a process of its own.

    On Linux a process starts with the peak memory of the one that started it, so this one is to stay small.
    """
    command = [sys.executable, checkpoint.__file__, model]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def _contestants(folder: str, autogluon: str | None) -> dict[str, Contestant]:
    """Ours, with the default precision first, then AutoGluon where it takes part."""
    given = {"model.clip.checkpoint_name": folder, "env.num_gpus": 0}
    ours = {glimpse.load(folder).precision: given}
    ours.setdefault("float32", given | {"env.precision": 32})
    found = {f"{GLIMPSE} {precision}": Contestant(sys.executable, OURS, more) for precision, more in ours.items()}
    return found | ({AUTOGLUON: Contestant(autogluon, THEIRS, given)} if autogluon else {})


def _result(contestants: Mapping[str, Contestant], paths: Sequence[str], asked: argparse.Namespace) -> Result:
    parts = [_imports(contestants, asked.rounds)]
    with ExitStack() as stack:
        workers = {name: stack.enter_context(closing(one.start())) for name, one in contestants.items()}
        parts += [_one_text(workers, asked.rounds, asked.calls), _pictures(workers, asked.rounds, paths)]
        agreements = _agreements(workers, paths)
        about = workers[AUTOGLUON].ask("about") if AUTOGLUON in workers else {"threads": None, "versions": {}}
    parts.append(_memory(contestants, paths, asked))
    return Result(
        question=checkpoint.result_name("automm", asked.model),
        setup=_setup(asked, about["threads"]),
        peer=AUTOGLUON,
        figures=[one for part in parts for one in part.figures],
        comparisons=[one for part in parts for one in part.comparisons],
        limits=[one for part in parts for one in part.limits],
        agreements=agreements,
        versions=measure.versions() | about["versions"],
    )


def _setup(asked: argparse.Namespace, threads: int | None) -> dict[str, Any]:
    return {
        "model": asked.model,
        "pictures": f"{asked.count} generated 640 × 480 JPEGs",
        "text": TEXT,
        "texts in a round": asked.calls,
        "rounds": asked.rounds,
        "processes for memory": asked.processes,
        "torch threads": threads,
    }


# Import ---------------------------------------------------------------------------------------------------------------


def _imports(contestants: Mapping[str, Contestant], rounds: int) -> Part:
    """Whole processes that import the predictor and end."""
    work = {_library(name): partial(_import, one.python, one.library) for name, one in contestants.items()}
    times = measure.in_turn(work, rounds)
    return Part(
        figures=[_figure(f"{name}, import", "s", taken) for name, taken in times.items()],
        comparisons=_comparisons("import", "s", times, {(GLIMPSE, AUTOGLUON): None}),
        limits=[_limit("import", "s", times[GLIMPSE], IMPORT_LIMIT)],
    )


def _library(name: str) -> str:
    """A contestant's name without its precision."""
    return name.partition(" ")[0]


def _import(python: str, library: str) -> None:
    command = [python, "-c", f"from {library} import MultiModalPredictor"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Ended(done.stderr)


# One text -------------------------------------------------------------------------------------------------------------


def _one_text(workers: Workers, rounds: int, calls: int) -> Part:
    """A text's latency, as it is called by default; of AutoGluon also as it is called for the sake of latency."""
    ways = {name: (worker, False) for name, worker in workers.items()}
    if AUTOGLUON in workers:
        ways[AUTOGLUON + REALTIME] = (workers[AUTOGLUON], True)
    found = measure.in_turn(
        {
            name: partial(worker.ask, "text", text=TEXT, calls=calls, realtime=way)
            for name, (worker, way) in ways.items()
        },
        rounds,
        operator.call,
    )
    every = {name: [[1000 * one for one in taken] for taken in of_rounds] for name, of_rounds in found.items()}
    medians = {name: [statistics.median(taken) for taken in of_rounds] for name, of_rounds in every.items()}
    default, *others = _ours(workers)
    targets = {(default, AUTOGLUON + way): target for way, target in TEXT_TARGETS.items()}
    targets |= dict.fromkeys([(name, AUTOGLUON + way) for name in others for way in TEXT_TARGETS])
    return Part(
        figures=[
            _figure(f"{name}, one text", "ms", medians[name], float(np.percentile(every[name], 90))) for name in every
        ],
        comparisons=_comparisons("one text", "ms", medians, targets),
    )


# Pictures -------------------------------------------------------------------------------------------------------------


def _pictures(workers: Workers, rounds: int, paths: Sequence[str]) -> Part:
    """Picture files to vectors."""
    work = {name: partial(worker.ask, "images", paths=paths) for name, worker in workers.items()}
    times = measure.in_turn(work, rounds, operator.call)
    default, *others = _ours(workers)
    targets = {(default, AUTOGLUON): IMAGES_TARGETS["default"]}
    targets |= {(name, AUTOGLUON): IMAGES_TARGETS["float32"] for name in others}
    return Part(
        figures=[
            measure.rate_figure(f"{name}, pictures", "images/s", taken, len(paths)) for name, taken in times.items()
        ],
        comparisons=_comparisons("pictures", "images/s", times, targets, count=len(paths)),
    )


# Memory ---------------------------------------------------------------------------------------------------------------


def _memory(contestants: Mapping[str, Contestant], paths: Sequence[str], asked: argparse.Namespace) -> Part:
    """The peak of processes that do nothing but embed all pictures and one text."""
    found = defaultdict(list)
    for turn in range(asked.processes):
        for name, one in contestants.items():
            measure.say(f"memory, process {turn + 1} of {asked.processes}: {name}")
            for state, peak in _peaks(one, paths).items():
                found[name + state].append(peak)
    ours = [name + state for name in _ours(contestants) for state in (LATER, FIRST)]
    return Part(
        figures=[_figure(f"{name}, peak memory", "GB", peaks) for name, peaks in found.items()],
        comparisons=_comparisons("peak memory", "GB", found, {(name, AUTOGLUON): MEMORY_TARGET for name in ours}),
        limits=[
            _limit(f"peak memory, {_precision(name)}", "GB", found[name], MEMORY_LIMITS.get(asked.model))
            for name in ours
        ],
    )


def _peaks(contestant: Contestant, paths: Sequence[str]) -> dict[str, float]:
    """Of AutoGluon one process; of ours one that compiles the towers, then one that finds them on disk."""
    states = [FIRST, LATER] if contestant.library == OURS else [""]
    with tempfile.TemporaryDirectory(dir=measure.bench_folder()) as cache:
        return {state: _peak(contestant, paths, cache) for state in states}


def _peak(contestant: Contestant, paths: Sequence[str], cache: str) -> float:
    with closing(contestant.start(GLIMPSE_CACHE=cache)) as worker:
        worker.ask("images", paths=paths)
        worker.ask("text", text=TEXT, calls=1, realtime=False)
        return float(worker.ask("peak"))


# Agreement ------------------------------------------------------------------------------------------------------------


def _agreements(workers: Workers, paths: Sequence[str]) -> list[Agreement]:
    """Hold our rows against AutoGluon's."""
    if AUTOGLUON not in workers:
        return []
    found = []
    for what, column, cells in (("pictures", "image", paths), ("text", "text", [TEXT])):
        rows = {name: _rows(worker, column, cells) for name, worker in workers.items()}
        for name in _ours(workers):
            lowest = measure.lowest_cosine(rows[name], rows[AUTOGLUON])
            floor = measure.SAME if _precision(name) == "float32" else None
            found.append(Agreement(f"{what}, {_precision(name)}", lowest, floor))
    return found


def _rows(worker: Worker, column: str, cells: Sequence[str]) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.npy"
        worker.ask("keep", column=column, cells=cells, to=str(path))
        return np.load(path)


# Telling --------------------------------------------------------------------------------------------------------------


def _ours(names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(GLIMPSE)]


def _precision(name: str) -> str:
    """What is left of a contestant's name without the library's."""
    return name.removeprefix(f"{GLIMPSE} ")


def _figure(what: str, unit: str, rounds: Sequence[float], p90: float | None = None) -> Figure:
    return Figure(what, unit, statistics.median(rounds), list(rounds), p90)


def _limit(what: str, unit: str, rounds: Sequence[float], limit: float | None) -> Limit:
    return Limit(what, unit, statistics.median(rounds), list(rounds), limit)


def _comparisons(
    what: str, unit: str, rounds: Rounds, targets: Mapping[Pair, float | None], count: int | None = None
) -> list[Comparison]:
    """Compare what is better the less it is, pair by pair; with a count, told as so many things a second."""
    pairs = {pair: target for pair, target in targets.items() if pair[1] in rounds}
    return [_comparison(what, unit, pair, rounds, target, count) for pair, target in pairs.items()]


def _comparison(
    what: str, unit: str, pair: Pair, rounds: Rounds, target: float | None, count: int | None
) -> Comparison:
    ours, theirs = (rounds[name] for name in pair)
    told = [statistics.median(one if count is None else measure.rates(one, count)) for one in (ours, theirs)]
    ratios = measure.speedups(ours, theirs)
    name = "" if pair[0] == GLIMPSE else f", {_precision(pair[0])}"
    way = pair[1].removeprefix(AUTOGLUON).removeprefix(", ") or "default"
    return Comparison(what + name, unit, told[0], told[1], way, statistics.median(ratios), ratios, target)


if __name__ == "__main__":
    main()
