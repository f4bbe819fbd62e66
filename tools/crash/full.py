"""A disk that fills up: a small file system in memory, of another size each time, that is made larger for the run to the end."""

import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crash.bench import EAGER, USUAL, Bench, Victim
from crash.chain import Chain
from crash.tally import Skipped, Tally

WRONG_USE = 2  # the exit code
SMALLEST = 8_192  # bytes
LARGE = 64_000_000


def run(bench: Bench, times: int, seed: int) -> Tally:
    """Fill so many disks.

    Raises:
        Skipped: file systems cannot be mounted here.
    """
    tally, number = Tally("full"), 0
    most = _needed(bench)
    while tally.points < times:
        name = f"{seed}-{number}"
        rng = random.Random(name)
        size = rng.randrange(SMALLEST, most, 4096)
        with _disk(bench.fresh(), size) as disk:
            _point(Chain(bench, tally, disk / "photos.db", name), size, rng)
        number += 1
    return tally


def _needed(bench: Bench) -> int:
    """Bytes that are enough: the file, its log of about the same size, and what is shared."""
    path = bench.fresh() / "photos.db"
    bench.finish(path)
    return 3 * path.stat().st_size


def _point(chain: Chain, size: int, rng: random.Random) -> None:
    where = f"with {size} bytes"
    victim = chain.bench.start(chain.path, rng.choice((USUAL, EAGER)))
    if victim.wait() == 1:
        chain.tally.note("disks large enough")
        return
    chain.tally.points += 1
    chain.blame(where, _manners(victim) + victim.left_over())
    _mount(chain.path.parent, LARGE, "remount")
    chain.check(victim, where)
    chain.finish()


def _manners(victim: Victim) -> list[str]:
    """How a run whose disk is full does not say so."""
    wrong = [] if victim.wait() == WRONG_USE else [f"it exits with {victim.wait()}"]
    is_plain = "disk is full" in victim.err and "Traceback" not in victim.err
    return wrong if is_plain else [*wrong, f"it does not say that the disk is full: {victim.err!r}"]


@contextmanager
def _disk(folder: Path, size: int) -> Iterator[Path]:
    _mount(folder, size)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
        folder.rmdir()


def _mount(folder: Path, size: int, *options: str) -> None:
    wanted = ",".join([*options, f"size={size}"])
    command = ["mount", "-t", "tmpfs", "-o", wanted, "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True, check=False).returncode:
        raise Skipped("mounting a small disk needs root")
