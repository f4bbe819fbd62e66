"""`python tools/fuzz --runs 100000`: nothing but pixels and known failures may come of any bytes.

Prints what came of them. Exits with 1 where something escaped. What kills the process (as it would a worker), is slow, or is caught by the last
net is kept as files, for somebody to look at; all that killed or was slow is then given to real workers, which must say so.
"""

import argparse
import json
import mmap
import os
import select
import signal
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from threading import Thread
from typing import Any

TOOLS = Path(__file__).resolve().parents[1]
if not __package__:
    sys.path[0] = str(TOOLS)  # instead of this folder

from fuzz.child import LARGEST, Plan, has_atheris  # noqa: E402  (the line above)
from glimpse.sources import folder  # noqa: E402
from glimpse.values import FAILURE_CODES, Item, PixelRules  # noqa: E402
from glimpse.workers.events import Ending, Task  # noqa: E402
from glimpse.workers.limits import Limits  # noqa: E402
from glimpse.workers.pool import Pool  # noqa: E402
from glimpse.workers.recipe import Recipe  # noqa: E402

SLOW = 5.0  # seconds
FOOTAGE = 0.2  # of "all"; a film takes ten times as long as a picture
PROGRESS = 10_000  # runs between two signs of life
STARTS = 3  # deaths without a single run


@dataclass
class Found:
    """What came of the runs so far; `kept` has a folder per kind, `codes` "" for pixels."""

    kept: Path
    runs: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    codes: Counter[str] = field(default_factory=Counter)
    deaths: Counter[str] = field(default_factory=Counter)
    slow: int = 0
    escaped: Counter[str] = field(default_factory=Counter)
    caught: Counter[str] = field(default_factory=Counter)

    def note(self, said: dict[str, Any], data: bytes) -> None:
        self.runs += 1
        self.codes[said["code"]] += 1
        if said["seconds"] > self.slowest:
            self.slowest = said["seconds"]
            self.keep("slowest", data, once=True)
        if said["seconds"] > SLOW:
            self.slow += 1
            self.keep("slow", data)
        for kind in ("escaped", "caught"):
            if said[kind]:
                counted: Counter[str] = getattr(self, kind)
                counted[said[kind]] += 1
                if counted[said[kind]] == 1:
                    self.keep(kind, data)

    def die(self, cause: str, data: bytes) -> None:
        self.runs += 1
        self.deaths[cause] += 1
        self.keep("died", data)

    def keep(self, kind: str, data: bytes, *, once: bool = False) -> None:
        place = self.kept / kind
        place.mkdir(parents=True, exist_ok=True)
        name = kind if once else sha256(data).hexdigest()[:16]
        (place / name).write_bytes(data)


def main() -> None:
    arguments = _arguments()
    with TemporaryDirectory() as temporary:
        found = Found(Path(arguments.artifacts or temporary))
        engine = "atheris" if has_atheris() and not arguments.no_atheris else "loop"
        if engine == "loop":
            print("without atheris: seeded changes of our own, guided by nothing")
        fuzz(found, arguments.target, arguments.runs, arguments.seed, arguments.seconds, engine)
        show(found)
        odd = judged(found.kept)
    sys.exit(1 if found.escaped or odd else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Fuzz what happens in a worker.")
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1e9, help="stop then, whatever is left to do")
    parser.add_argument("--target", choices=("pictures", "footage", "all"), default="all")
    parser.add_argument("--artifacts", help="a folder for inputs that kill, are slow, or are caught late")
    parser.add_argument("--no-atheris", action="store_true", help="do as if it were not there")
    return parser.parse_args()


def fuzz(found: Found, target: str, runs: int, seed: int, seconds: float, engine: str) -> None:
    """Run so many inputs, whatever dies on the way."""
    until = time.time() + seconds
    shares = {"pictures": runs - int(runs * FOOTAGE), "footage": int(runs * FOOTAGE)}
    for name, share in shares.items() if target == "all" else [(target, runs)]:
        began, start, strikes = time.monotonic(), found.runs, 0
        while (left := share - (found.runs - start)) > 0 and time.time() < until and strikes < STARTS:
            before = found.runs
            # Another seed for each child, or it would die of the same again.
            run_child(found, name, left, seed + found.deaths.total(), until, engine)
            strikes = strikes + 1 if found.runs - before <= 1 else 0
        found.seconds += time.monotonic() - began
        print(f"{name}: {found.runs - start} runs, {time.monotonic() - began:.0f} s", flush=True)
        if strikes == STARTS:
            sys.exit("the fuzzing process does not run")


def run_child(found: Found, target: str, runs: int, seed: int, until: float, engine: str) -> None:
    """One process, until it is done or dead."""
    ours, theirs = os.pipe()
    with TemporaryFile() as file, os.fdopen(ours, "rb") as pipe:
        file.truncate(LARGEST + 4)
        memory = mmap.mmap(file.fileno(), LARGEST + 4)
        plan = Plan(target, runs, seed, until, engine, theirs, file.fileno())
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "fuzz.child", plan.as_json()],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, pass_fds=(theirs, file.fileno()),
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(TOOLS), *filter(None, sys.path)])},
        )  # fmt: skip
        os.close(theirs)
        errors: deque[bytes] = deque(maxlen=10)  # by a thread, for a full pipe would be waited for
        listener = Thread(target=lambda: errors.extend(process.stderr or ()), daemon=True)
        listener.start()
        for line in _lines(pipe, process):
            found.note(json.loads(line), _input(memory))
            if found.runs % PROGRESS == 0:
                print(f"{found.runs} …", file=sys.stderr, flush=True)
        if code := process.wait():
            found.die(_cause(code), _input(memory))
            listener.join(1)
            sys.stderr.buffer.write(b"".join(errors) if code > 0 else b"")


def _lines(pipe: Any, process: "subprocess.Popen[bytes]") -> Iterator[bytes]:
    """What a child says, until it ends; one that says nothing for too long is ended."""
    while True:
        if not select.select([pipe], [], [], Limits().wall)[0]:
            process.kill()
        line = pipe.readline()
        if not line.endswith(b"\n"):
            return
        yield line


def _input(memory: mmap.mmap) -> bytes:
    return memory[4 : 4 + int.from_bytes(memory[:4])]


def _cause(code: int) -> str:
    """As `workers.pool` would call it."""
    if code > 0:
        return f"exit {code}"
    return {signal.SIGXCPU: "timeout (processor time)", signal.SIGKILL: "timeout or memory (killed)"}.get(
        signal.Signals(-code), f"crashed ({signal.Signals(-code).name})"
    )


def show(found: Found) -> None:
    print(
        f"{found.runs} runs in {found.seconds:.0f} s; the slowest took {found.slowest:.2f} s; {found.slow} over {SLOW:g} s"
    )
    for code, count in found.codes.most_common():
        print(f"  {count:7}  {code or 'pixels'}")
    for title, counted in (
        ("died", found.deaths),
        ("caught by the last net", found.caught),
        ("ESCAPED", found.escaped),
    ):
        for what, count in counted.most_common():
            print(f"  {count:7}  {title}: {what}")


def judged(kept: Path) -> list[str]:
    """Give real workers what killed or held up a child; says what did not end as it should."""
    places = [kept / kind for kind in ("died", "slow", "escaped") if (kept / kind).is_dir()]
    tasks = [Task(item) for place in places for item in folder.items(str(place)) if isinstance(item, Item)]
    ended: Counter[str] = Counter()
    wrong = []
    with Pool(Recipe(32, PixelRules(32, 32)), workers=2) as pool:
        for event in pool.run(tasks):
            if isinstance(event, Ending):
                code = event.failure.code if event.failure else ""
                ended[code] += 1
                wrong += [event.item.key] if code and code not in FAILURE_CODES else []
    if tasks:
        print(f"given to real workers: {dict(ended)}")
    if ended.total() != len(tasks):
        wrong.append(f"{len(tasks)} items, {ended.total()} endings")
    return wrong


if __name__ == "__main__":
    main()
