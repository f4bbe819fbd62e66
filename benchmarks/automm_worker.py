"""One library's `MultiModalPredictor` in a process of its own, and the way to reach it: JSON lines through its pipes.

`automm_worker.py glimpse.automm` or `automm_worker.py autogluon.multimodal`: only the import differs, all that follows it is
the same. Runs in either library's environment, so it knows no other file of the benchmarks.
"""

import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

PROBLEM = "zero_shot_image_classification"
LIBRARIES = ("autogluon.multimodal", "torch", "transformers")
UNCOUNTED = 2  # calls that only bring the weights back into the processor's cache
TOLD = 2000  # letters of what a worker that ended had to say


# The near end ---------------------------------------------------------------------------------------------------------


class Ended(Exception):
    """A worker ended before it answered; what it said last is the text."""


class Worker:
    """A worker as the benchmark sees it, to be closed in the end."""

    def __init__(self, python: str, library: str, environment: Mapping[str, str]) -> None:
        """Start it. What it writes of its own accord is heard only where it fails."""
        self._said = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115  (close does it)
        self._process = subprocess.Popen(
            [python, __file__, library],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            env={**os.environ, **environment, "PYTHONSAFEPATH": "1"},  # none of our files is taken for one of theirs
        )

    def close(self) -> None:
        """End the process, which holds nothing that is worth a farewell."""
        self._process.kill()
        self._process.wait()
        for file in (self._process.stdin, self._process.stdout, self._said):
            if file:
                file.close()

    def ask(self, verb: str, **arguments: Any) -> Any:
        """Have the worker do one of the verbs of `Predictor`, and wait for what it answers.

        Raises:
            Ended: it did not survive the question.
        """
        pipes = self._process.stdin, self._process.stdout
        try:
            print(json.dumps([verb, arguments]), file=pipes[0], flush=True)
            answer = pipes[1].readline() if pipes[1] else ""
        except BrokenPipeError:
            answer = ""
        if not answer:
            self._said.seek(0)
            raise Ended(self._said.read()[-TOLD:])
        return json.loads(answer)


# The far end ----------------------------------------------------------------------------------------------------------


class Predictor:
    """What a worker can be asked; every method is a verb."""

    def __init__(self, library: str) -> None:
        self._library = importlib.import_module(library)
        self._predictor: Any = None

    def load(self, hyperparameters: Mapping[str, Any]) -> None:
        """Make a predictor; both libraries read the weights when they first need them."""
        self._predictor = self._library.MultiModalPredictor(
            problem_type=PROBLEM, hyperparameters=hyperparameters, verbosity=0
        )

    def text(self, text: str, calls: int, *, realtime: bool) -> list[float]:
        """Embed one text, so many times in a row; the seconds of each call."""
        more = {"realtime": True} if realtime else {}
        return [self._seconds({"text": [text]}, **more) for _ in range(UNCOUNTED + calls)][UNCOUNTED:]

    def images(self, paths: Sequence[str]) -> float:
        """Embed picture files; seconds."""
        return self._seconds({"image": paths})

    def keep(self, column: str, cells: Sequence[str], to: str) -> None:
        """Embed a column and write its rows as .npy."""
        np.save(to, self._predictor.extract_embedding({column: cells})[column])

    def peak(self) -> float:
        """Most memory held at a time, in GB: this process's, or that of the largest it started, where that was more.

        Processes that it started share pages with it, so they are not added up: what a library holds is no less than this.
        """
        unit = 1 if sys.platform == "darwin" else 1024
        used = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return max(used) * unit / 1e9

    def about(self) -> dict[str, Any]:
        """Versions of what decides AutoGluon's figures, and how many threads its torch computes with."""
        torch = sys.modules.get("torch")
        return {"versions": _versions(), "threads": torch.get_num_threads() if torch else None}

    def _seconds(self, data: Mapping[str, Sequence[str]], **more: Any) -> float:
        start = time.perf_counter()
        self._predictor.extract_embedding(data, **more)
        return time.perf_counter() - start


def _versions() -> dict[str, str]:
    found = {}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


def main() -> None:
    """Do what is asked on standard input until it ends; whatever else is printed goes to standard error."""
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        predictor = Predictor(sys.argv[1])
        for line in sys.stdin:
            verb, arguments = json.loads(line)
            print(json.dumps(getattr(predictor, verb)(**arguments)), file=answers, flush=True)


if __name__ == "__main__":
    main()
