"""A disk that fills up: a small file system in memory, of another size each time, that is made larger for the run to the end."""

import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crash import checks
from crash.bench import EAGER, USUAL, Bench, Victim
from crash.chain import Chain
from crash.tally import Skipped, Tally
from glimpse.collection import Collection
from glimpse.errors import GlimpseError

WRONG_USE = 2  # the exit code
SMALLEST, PAGE = 8_192, 4_096  # bytes
LARGE = 64_000_000
IN_A_ROW = 5  # at most


def run(bench: Bench, times: int, seed: int) -> Tally:
    """Fill disks so many times.

    Raises:
        Skipped: file systems cannot be mounted here.
    """
    tally, number, enough = Tally("full"), 0, _enough(bench)
    while tally.points < times:
        name = f"{seed}-{number}"
        rng = random.Random(name)
        sizes = sorted(rng.randrange(SMALLEST, enough, PAGE) for _ in range(rng.randint(1, IN_A_ROW)))
        with mounted(bench.fresh(), sizes[0]) as disk:
            _chain(Chain(bench, tally, disk / "photos.db", name), sizes[: times - tally.points], rng)
        number += 1
    return tally


def _enough(bench: Bench) -> int:
    """Bytes that nearly always suffice: the file, and half as much for its log and what is shared."""
    path = bench.fresh() / "photos.db"
    bench.finish(path)
    return path.stat().st_size * 3 // 2


def _chain(chain: Chain, sizes: list[int], rng: random.Random) -> None:
    """Run into the end of a disk that is made a little larger each time."""
    for size in sizes:
        _mount(chain.path.parent, size, "remount")
        _point(chain, f"with {size} bytes", rng)
    _mount(chain.path.parent, LARGE, "remount")
    chain.finish()


def _point(chain: Chain, where: str, rng: random.Random) -> None:
    victim = chain.bench.start(chain.path, rng.choice((USUAL, EAGER)))
    if victim.ended_well:
        chain.tally.note("large enough")
    else:
        chain.tally.points += 1
        chain.blame(where, complaints(victim) + victim.left_over())
        chain.tally.note("not readable before there was room", not _is_readable(chain.path))
    chain.check(victim, where, _copied(chain))


def _is_readable(path: Path) -> bool:
    """Whether it can be searched on the full disk: SQLite needs 32 kB beside the file, which it may have from before."""
    try:
        with Collection(path, create=False) as collection:
            checks.search(collection)
    except GlimpseError:
        return False
    return True


def _copied(chain: Chain) -> Path:
    """What is on the disk, where there is room to look at it."""
    folder = chain.bench.fresh()
    for file in chain.path.parent.iterdir():
        if not file.name.endswith("-shm"):
            shutil.copy(file, folder)
    return folder / chain.path.name


def complaints(victim: Victim) -> list[str]:
    """How a run whose disk is full does not say so."""
    wrong = [] if victim.wait() == WRONG_USE else [f"it exits with {victim.wait()}"]
    is_plain = "disk is full" in victim.err and "Traceback" not in victim.err
    return wrong if is_plain else [*wrong, f"it does not say that the disk is full: {victim.err!r}"]


@contextmanager
def mounted(folder: Path, size: int) -> Iterator[Path]:
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
