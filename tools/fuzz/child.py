"""The process that runs the target over and over, confined as a worker is: `python -m fuzz.child` with a plan in JSON.

It says one line after each run, and has each input in shared memory before it runs it, so that what it dies of is known. Reads nothing
but its seeds, writes no file.
"""

import contextlib
import json
import mmap
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from random import Random
from typing import Any, NoReturn

from fuzz import mutations, seeds
from glimpse.workers.limits import Limits, confine

LARGEST = 65_536  # bytes of an input
COVERED = ["PIL", "glimpse"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a child is asked to do: `pipe` and `memory` are descriptors, `until` a time of `time.time`; `engine` as in `main`."""

    target: str
    runs: int
    seed: int
    until: float
    engine: str
    pipe: int
    memory: int

    def as_json(self) -> str:
        return json.dumps(asdict(self))


def main() -> None:
    plan = Plan(**json.loads(sys.argv[1]))
    if plan.engine == "atheris":
        by_atheris(plan)
    by_loop(plan)


def has_atheris() -> bool:
    try:
        import atheris  # noqa: F401
    except ImportError:
        return False
    return True


def by_atheris(plan: Plan) -> NoReturn:
    """Guided by what of Pillow's and our Python is reached; half of the changes are libFuzzer's."""
    import atheris

    with atheris.instrument_imports(include=COVERED, enable_loader_override=False):
        run = _runner(plan)
    given = seeds.of_target(plan.target)
    with _seed_files(given) as names:
        # Signals kill, as they kill a worker; files cannot be written, nor need be.
        handlers = [f"-handle_{name}=0" for name in ("segv", "bus", "abrt", "ill", "fpe", "xfsz")]
        limits = ["-rss_limit_mb=0", "-malloc_limit_mb=0", f"-max_len={LARGEST}", "-len_control=0", "-timeout=100000"]
        quiet = ["-verbosity=0", "-exact_artifact_path=/dev/null", f"-seed={plan.seed}", f"-seed_inputs=@{names}"]
        atheris.Setup([sys.argv[0], *limits, *handlers, *quiet], run, custom_mutator=_mutator(given))
        confine(Limits())
        atheris.Fuzz()
    os._exit(0)


@contextlib.contextmanager
def _seed_files(given: list[bytes]) -> Any:
    """A list of memory files, for libFuzzer reads seeds by their names."""
    places = []
    for data in [*given, b""]:
        place = os.memfd_create("seed")
        os.write(place, data)
        places.append(place)
    os.write(places[-1], ",".join(f"/proc/self/fd/{place}" for place in places[:-1]).encode())
    yield f"/proc/self/fd/{places[-1]}"


def _mutator(given: list[bytes]) -> Callable[[bytes, int, int], bytes]:
    import atheris

    def mutate(data: bytes, largest: int) -> bytes:
        return atheris.Mutate(data, largest)  # another function once `Fuzz` was called

    def changed(data: bytes, largest: int, seed: int) -> bytes:
        random = Random(seed)
        chance = random.random()
        if chance < 0.4:
            return mutate(data, largest)
        if chance < 0.6:
            made = mutations.in_parts(data, random, given, lambda body: mutate(body, len(body) + 64))
        else:
            made = mutations.damaged(data, random, given, largest)
        return made[:largest]

    return changed


def by_loop(plan: Plan) -> NoReturn:
    """Where there is no atheris: seeds damaged at random, and again now and then."""
    run, given, random = _runner(plan), seeds.of_target(plan.target), Random(plan.seed)
    confine(Limits())
    for data in given:
        run(data)
    data = random.choice(given)
    while True:
        data = random.choice(given) if random.random() < 0.7 else data
        data = mutations.damaged(data, random, given, LARGEST)
        run(data)


def _runner(plan: Plan) -> Callable[[bytes], None]:
    """A function that runs the target, says how it went, and ends the process when it is time."""
    from fuzz.target import Target

    target, memory, done = Target(), mmap.mmap(plan.memory, LARGEST + 4), 0

    def run(data: bytes) -> None:
        nonlocal done
        if done >= plan.runs or time.time() > plan.until:
            os._exit(0)
        memory[: len(data) + 4] = len(data).to_bytes(4) + data
        os.write(plan.pipe, (json.dumps(asdict(target(data))) + "\n").encode())
        done += 1

    return run


if __name__ == "__main__":
    main()
