"""Indexing end to end: what bad files cost the good ones, and how much memory a long run takes.

Bad files are good ones that were cut, damaged, or are something else; with `--bad FOLDER` also those of a folder, such as the test
pictures of an image library. Every run indexes into a new collection. Memory is the proportional share (Pss) of the process and its
workers together, above what it was once the model had embedded its first batch. Growth is told by memory that is nobody else's: a
share of a library's pages also changes when another program that uses it starts or ends.
"""

import argparse
import os
import statistics
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import checkpoint
import glimpse
import measure
import pictures
from glimpse.demo import MODEL
from measure import Comparison, Limit, Result

SHARE = 0.05  # of bad files
CHECKPOINTS = (5_000, 20_000)  # pictures
MEGABYTE = 1_000_000


def main() -> None:
    asked = _arguments()
    measure.prepare()
    encoder = glimpse.load(checkpoint.make(asked.model))
    files = pictures.take(asked.pictures, None)
    with tempfile.TemporaryDirectory() as folder:
        clean, dirty = _folders(Path(folder), files, asked.bad)
        times = measure.in_turn(
            {"clean": lambda: _index(encoder, clean), "dirty": lambda: _index(encoder, dirty)}, asked.rounds, _good_rate
        )
        limits = _memory(glimpse.load(MODEL), Path(folder), files, asked.many) if asked.many else []
    ratios = [ours / theirs for ours, theirs in zip(times["dirty"], times["clean"], strict=True)]
    measure.finish(
        Result(
            question=checkpoint.result_name("ingest", asked.model),
            setup={
                "model": asked.model,
                "good pictures": len(files),
                "bad files": f"{SHARE:.0%}",
                "rounds": asked.rounds,
            },
            comparisons=[
                Comparison(
                    what="good pictures a second, with bad files among them",
                    unit="images/s",
                    ours=statistics.median(times["dirty"]),
                    peer=statistics.median(times["clean"]),
                    peer_is="none bad",
                    ratio=statistics.median(ratios),
                    ratios=ratios,
                    target=0.8,
                )
            ],
            limits=limits,
            peer="the clean run",
        ),
        keep=asked.keep,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=checkpoint.DEFAULT, choices=checkpoint.SIZES)
    parser.add_argument("--pictures", type=int, default=400, help="good pictures in each run")
    parser.add_argument("--bad", type=Path, help="a folder with more bad files")
    parser.add_argument(
        "--many", type=int, default=CHECKPOINTS[-1], help="pictures of the run that is watched; 0: none"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-keep", dest="keep", action="store_false", help="print only, write no results")
    return parser.parse_args()


# What bad files cost --------------------------------------------------------------------------------------------------


def _folders(folder: Path, files: Sequence[Path], bad: Path | None) -> tuple[Path, Path]:
    """A folder with good files, and one with bad ones among them."""
    clean, dirty = folder / "clean", folder / "dirty"
    for place in (clean, dirty):
        place.mkdir()
        for path in files:
            os.link(path, place / path.name)
    more = [path for path in sorted(bad.iterdir()) if path.is_file()] if bad else []
    random = np.random.default_rng(0)
    for number in range(round(len(files) * SHARE)):
        spoilt = _spoilt(random, files[number].read_bytes(), number)
        taken = more[int(random.integers(len(more)))].read_bytes() if more and number % 2 else spoilt
        (dirty / f"{files[number * 17 % len(files)].stem}-bad{number}").write_bytes(taken)
    return clean, dirty


def _spoilt(random: np.random.Generator, data: bytes, number: int) -> bytes:
    """A file that is cut, has a hole, is something else, or claims to be huge."""
    half = len(data) // 2
    kinds = (
        lambda: data[: int(random.integers(half))],
        lambda: data[:half] + bytes(half // 2) + data[half + half // 2 :],
        lambda: random.bytes(len(data)),
        lambda: b"\x89PNG\r\n\x1a\n" + data,
        lambda: b"BM" + bytes(16) + (60_000).to_bytes(4, "little") * 2 + data,
    )
    return kinds[number % len(kinds)]()


def _index(encoder: glimpse.Encoder, folder: Path) -> glimpse.Report:
    with tempfile.TemporaryDirectory() as place, glimpse.Collection(Path(place) / "c.db", encoder) as collection:
        return collection.index(folder)


def _good_rate(work: measure.Work) -> float:
    report = work()
    return float(report.indexed / report.seconds)


# How much memory a long run takes -------------------------------------------------------------------------------------


def _memory(encoder: glimpse.Encoder, folder: Path, files: Sequence[Path], count: int) -> list[Limit]:
    """Index so many pictures and watch; the same files under many names, read and decoded every time."""
    many = folder / "many"
    for number in range(count):
        place = many / f"{number // 1000:04}"
        place.mkdir(parents=True, exist_ok=True)
        os.link(files[number % len(files)], place / f"{number}.jpg")
    encoder.images(files[:64])
    before, seen = _used(), list[tuple[int, float, float]]()
    with tempfile.TemporaryDirectory() as place, _watched(seen, before) as told:
        report = glimpse.Collection(Path(place) / "c.db", encoder).index(many, progress=told)
    measure.say(str(report))
    used = [total for _, total, _ in seen]
    around = [own for done, _, own in seen if abs(done - CHECKPOINTS[0]) < count / 40] or [0.0]
    end = [own for done, _, own in seen if done > count - count / 20] or [0.0]
    grown = statistics.median(end) - statistics.median(around)
    return [
        Limit(
            f"memory above the model, {count} pictures",
            "MB",
            max(used),
            used,
            300,
        ),
        Limit(f"growth between the {CHECKPOINTS[0]}th and the {count}th", "MB", grown, [grown], 10),
    ]


@contextmanager
def _watched(seen: list[tuple[int, float, float]], before: float) -> Iterator[object]:
    """Note every second how much memory is used; gives what `index` tells its progress."""
    now, over = [0], threading.Event()

    def watch() -> None:
        while not over.wait(1.0):
            seen.append((now[0], _used() - before, _used("Pss_Anon:", "Pss_Shmem:")))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield lambda progress: now.__setitem__(0, progress.done if progress.total else 0)
    finally:
        over.set()
        thread.join()


def _used(*kinds: str) -> float:
    """Megabytes of this process and of its workers: memory that several share counts in parts (Linux)."""
    children = subprocess.run(["pgrep", "-P", str(os.getpid())], capture_output=True, text=True, check=False).stdout
    return (
        sum(measure.shares(process, *(kinds or ("Pss:",))) for process in [str(os.getpid()), *children.split()])
        / MEGABYTE
    )


if __name__ == "__main__":
    main()
