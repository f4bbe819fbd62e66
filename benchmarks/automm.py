"""`MultiModalPredictor` of glimpse.automm beside AutoGluon's: import, one text, many pictures, memory; in one run.

AutoGluon needs an environment of its own (about 6 GB), nothing of glimpse:

    python -m venv ag && ag/bin/pip install "autogluon.multimodal==1.6.3" "setuptools<81"
    .venv/bin/python benchmarks/automm.py --autogluon ag/bin/python

Every contestant is a process of its own (automm_worker.py) that waits while another has its turn. Both libraries get the same
calls, and compute with as many threads as they choose by themselves.
"""

import argparse
import operator
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
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
from measure import Agreement, Comparison, Figure, Limit, Result, Work

OURS, THEIRS = "glimpse.automm", "autogluon.multimodal"
QUIET = {"AUTOMM_TUTORIAL_MODE": "1", "HF_HUB_OFFLINE": "1"}  # no bars, and the checkpoint is on disk
TEXT = "a carriage"
REALTIME = ", realtime=True"
STATES = {"first run": "towers compiled in it", "later runs": "compiled towers on disk"}

IMPORT_LIMIT = 0.3  # seconds of the whole process
MEMORY_LIMITS = {"ViT-B-32": 1.6, "ViT-L-14": 2.7}  # GB, in the default precision
TEXT_TARGETS = {"": 15.0, REALTIME: 4.0}  # the default precision against either of AutoGluon's ways
IMAGES_TARGETS = {"default": 3.0, "float32": 2.5}
MEMORY_TARGET = 1.0  # not more than AutoGluon

Rounds = Mapping[str, Sequence[float]]  # contestant → one measurement a round


@dataclass(frozen=True, slots=True)
class Contestant:
    """A library, in the Python that has it, with what its predictor is made of."""

    name: str
    python: str
    library: str
    hyperparameters: Mapping[str, Any]

    def start(self, **environment: str) -> Worker:
        """Start a worker; its predictor is made by the first question that follows."""
        worker = Worker(self.python, self.library, QUIET | environment)
        worker.ask("load", hyperparameters=self.hyperparameters)
        return worker


@dataclass(frozen=True, slots=True)
class Found:
    """Everything that was measured; AutoGluon's where it took part."""

    imports: Rounds  # seconds
    texts: Mapping[str, Sequence[Sequence[float]]]  # seconds of every call
    images: Rounds  # seconds
    peaks: Rounds  # GB
    agreements: Sequence[Agreement]
    about: Mapping[str, Any]


def main() -> None:
    asked = _arguments()
    measure.prepare()
    if not asked.autogluon:
        measure.say("only glimpse is measured, and nothing is kept: --autogluon PYTHON names a Python that has AutoGluon")
    folder, paths = _checkpoint(asked.model), [str(path) for path in pictures.take(asked.count)]
    ours = _ours(folder)
    theirs = Contestant("AutoGluon", asked.autogluon, THEIRS, _hyperparameters(folder)) if asked.autogluon else None
    try:
        found = _measure(ours, theirs, paths, asked)
    except Ended as ended:
        measure.say(f"a worker ended, which said last:\n{ended}")
        sys.exit(2)
    measure.finish(_result(found, asked, list(ours), len(paths)), keep=asked.keep and theirs is not None)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--autogluon", metavar="PYTHON", help="the Python of an environment that has AutoGluon")
    parser.add_argument("--model", default=checkpoint.DEFAULT, choices=checkpoint.SIZES)
    parser.add_argument("--count", type=int, default=200, help="how many pictures")  # few: AutoGluon takes them for texts
    parser.add_argument("--calls", type=int, default=10, help="how many texts in a row, in every round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--processes", type=int, default=3, help="how many of each, to see how much memory they take")
    parser.add_argument("--no-keep", dest="keep", action="store_false", help="print only, write no results")
    return parser.parse_args()


def _checkpoint(model: str) -> str:
    """Make it in another process: on Linux a process starts with the peak of the one that started it, and this is to stay small."""
    command = [sys.executable, checkpoint.__file__, model]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


# Contestants ----------------------------------------------------------------------------------------------------------


def _ours(folder: str) -> dict[str, Contestant]:
    """Ours by precision, with the default first."""
    given = _hyperparameters(folder)
    named = {glimpse.load(folder).precision: given}
    named.setdefault("float32", given | {"env.precision": 32})
    return {name: Contestant(f"glimpse {name}", sys.executable, OURS, more) for name, more in named.items()}


def _hyperparameters(folder: str) -> dict[str, Any]:
    return {"model.clip.checkpoint_name": folder, "env.num_gpus": 0}


def _measure(
    ours: Mapping[str, Contestant], theirs: Contestant | None, paths: Sequence[str], asked: argparse.Namespace
) -> Found:
    everyone = [*ours.values(), *([theirs] if theirs else [])]
    measure.say("import")
    imports = measure.in_turn({"glimpse": _import(next(iter(ours.values())))} | _if(theirs, _import), asked.rounds)
    with ExitStack() as stack:
        workers = {one.name: stack.enter_context(one.start()) for one in everyone}
        measure.say("one text")
        texts = measure.in_turn(_texts(workers, theirs, asked.calls), asked.rounds, operator.call)
        measure.say("pictures")
        images = {name: partial(worker.ask, "images", paths=paths) for name, worker in workers.items()}
        times = measure.in_turn(images, asked.rounds, operator.call)
        agreements = _agreements(workers, ours, theirs, paths)
        about = workers[everyone[-1].name].ask("about")
    return Found(imports, texts, times, _peaks(everyone, paths, asked.processes), agreements, about)
