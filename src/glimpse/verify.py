"""What every engine of this machine makes of a model, on someone's own pictures: how close to float32, and how fast.

One engine is loaded at a time. Speeds are of towers alone, pictures ready in memory, and as noisy as the machine.
"""

import gc
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from glimpse import registry
from glimpse.encoder import Encoder, load
from glimpse.errors import GlimpseError, MissingExtra, UsageError
from glimpse.values import Failure, Item, Pixels, Rows
from glimpse.workers.events import Ending, Frame, Task
from glimpse.workers.pool import Pool
from glimpse.workers.recipe import Recipe

SECONDS = 20.0  # for one engine; the slow ones see fewer pictures
_CALIBRATION = 64  # pictures that int8 sees first
_FIRST = 8  # pictures that warm an engine up
_TOP = 10
_LOW = 0.001  # the quantile that tells of the worst pictures

CAPTIONS = tuple(
    f"a photo of {what}"
    for what in (
        "a person", "people at a table", "a child playing", "a dog", "a cat", "a horse in a field", "birds", "a flower",
        "a tree", "mountains", "the sea", "a beach", "a river", "snow", "the night", "a sunset", "a city street", "a house",
        "a church", "a bridge", "a kitchen", "a bedroom", "food on a plate", "a cake", "a bicycle", "a car", "a train", "a boat",
        "an airplane", "a carriage", "a book", "a screen with text", "a map", "a painting", "a musician", "a football match",
        "a crowd", "something red", "an empty room", "a machine",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trial:
    """One engine's outcome.

    Attributes:
        runtime, device, precision: the engine.
        mean, low: cosine of its pictures' vectors to float32's: on average, and at the 0.1 percentile.
        overlap: of the ten pictures that float32 finds for a text, how many it finds too: a share, on average.
        rate: pictures a second.
        pictures: how many it was measured on.
        problem: why there are no figures, else "".
    """

    runtime: str
    device: str
    precision: str
    mean: float = float("nan")
    low: float = float("nan")
    overlap: float = float("nan")
    rate: float = float("nan")
    pictures: int = 0
    problem: str = ""


HEAD = ("runtime", "device", "precision", "cosine", "worst", f"top {_TOP}", "pictures/s", "times", "")


def cells(trial: Trial, first: Trial) -> tuple[str, ...]:
    """A trial as a row under `HEAD`; speeds also as multiples of the first's."""
    engine = (trial.runtime, trial.device, trial.precision)
    if trial.problem:
        return (*engine, "", "", "", "", "", trial.problem)
    few = "" if trial.pictures == first.pictures else f"on {trial.pictures} pictures"
    fidelity = (f"{trial.mean:.6f}", f"{trial.low:.6f}", f"{trial.overlap:.3f}")
    return (*engine, *fidelity, f"{trial.rate:.1f}", f"{trial.rate / first.rate:.2f}", few)


def as_json(trial: Trial) -> dict[str, Any]:
    """A trial as plain values; what was not measured is None."""
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value for name, value in asdict(trial).items()
    }


def prepare(encoder: Encoder, items: Iterable[Item]) -> tuple[Pixels, list[Failure]]:
    """Decode pictures, and frames of films, in workers: uint8 (n, size, size, 3), and what could not be decoded."""
    rules = encoder.card.pixels
    good: list[Pixels] = []
    failures: list[Failure] = []
    with Pool(Recipe(rules.size, rules, parity=encoder.parity, fidelity=encoder.fidelity)) as pool:
        for event in pool.run(map(Task, items)):
            if isinstance(event, Frame):
                good.append(event.pixels)
            elif isinstance(event, Ending) and event.failure:
                failures.append(event.failure)
    return np.stack(good) if good else np.empty((0, rules.size, rules.size, 3), np.uint8), failures


def spread(sequence: Any, count: int) -> list[Any]:
    """At most so many, from all over."""
    places = np.linspace(0, len(sequence) - 1, min(count, len(sequence))).astype(int)
    return [sequence[place] for place in places]


def engines() -> Iterator[tuple[str, str, str]]:
    """Every runtime that is installed, with its devices and their precisions."""
    for name in registry.names("runtimes"):
        try:
            runtime = registry.find("runtimes", name)
        except MissingExtra:
            continue
        for device in runtime.devices():
            for precision in runtime.precisions(device):
                yield name, device, precision


def trials(
    model: str,
    prepared: Pixels,
    texts: Sequence[str] = CAPTIONS,
    *,
    parity: bool = False,
    say: Callable[[str], object] = lambda _: None,
) -> Iterator[Trial]:
    """Try every engine of this machine, float32 of the default one first: what the others are held against.

    Args:
        model: as for `glimpse.load`.
        prepared: uint8 (n, size, size, 3), what `Encoder.prepare` made of pictures.
        texts: what to look for among them.
        parity: as for `glimpse.load`.
        say: told what is going on.
    """
    if not len(prepared):
        raise UsageError("there are no pictures to verify with: name some, or folders that have some")
    first = load(model, precision="float32", parity=parity)
    say(f"{first.runtime} float32, what the others are held against")
    measured = _measured(first, prepared, float("inf"))
    reference = measured.rows, first.texts(texts)
    yield _trial((first.runtime, first.devices[0], "float32"), measured, reference, reference[1])
    mine = (first.runtime, first.devices[0], "float32")
    del first
    for engine in sorted(set(engines()) - {mine}):
        gc.collect()  # one engine at a time: a model may fill half of the memory
        say(" ".join(dict.fromkeys(engine)))
        yield _tried(model, engine, prepared, texts, reference, parity=parity)


def _tried(
    model: str,
    engine: tuple[str, str, str],
    prepared: Pixels,
    texts: Sequence[str],
    reference: tuple[Rows, Rows],
    *,
    parity: bool,
) -> Trial:
    runtime, device, precision = engine
    try:
        encoder = load(model, runtime=runtime, device=device, precision=precision, parity=parity)
        if precision == "int8" and not encoder.calibrated:
            encoder.calibrate_prepared(np.stack(spread(prepared, _CALIBRATION)))
        return _trial(engine, _measured(encoder, prepared, SECONDS), reference, encoder.texts(texts))
    except GlimpseError as error:
        return Trial(*engine, problem=str(error))


@dataclass(frozen=True, slots=True)
class _Measured:
    rows: Rows
    rate: float


def _measured(encoder: Encoder, prepared: Pixels, seconds: float) -> _Measured:
    """Embed as many pictures as the time allows, in batches that grow: the median of their speeds counts."""
    encoder.embed(prepared[:_FIRST])  # compiled, and warm
    rows: list[Rows] = []
    rates: list[float] = []
    done, size, began = 0, _FIRST, time.perf_counter()
    while done < len(prepared) and (not done or time.perf_counter() - began < seconds):
        start = time.perf_counter()
        rows.append(encoder.embed(prepared[done : done + size]))
        rates.append(len(rows[-1]) / (time.perf_counter() - start))
        done, size = done + size, min(2 * size, 64)
    return _Measured(np.concatenate(rows), float(np.median(rates)))


def _trial(engine: tuple[str, str, str], measured: _Measured, reference: tuple[Rows, Rows], texts: Rows) -> Trial:
    count = len(measured.rows)
    mean, low, overlap = drift((reference[0][:count], reference[1]), (measured.rows, texts))
    return Trial(*engine, mean, low, overlap, measured.rate, count)


def drift(reference: tuple[Rows, Rows], found: tuple[Rows, Rows]) -> tuple[float, float, float]:
    """How far vectors are from those that count: both are rows of pictures and rows of texts, in the same order.

    Returns:
        The cosine of a picture's two rows, on average and at the 0.1 percentile; and of the ten pictures that the reference finds
        for a text, the share that is found, on average.
    """
    (images, words), (others, texts) = reference, found
    cosines = (others.astype(np.float64) * images).sum(1)
    overlap = _overlap(words @ images.T, texts @ others.T)
    return float(cosines.mean()), float(np.quantile(cosines, _LOW)), overlap


def _overlap(scores: Rows, others: Rows) -> float:
    """Of the ten best of every row, the share that is among the others' ten best."""
    top = min(_TOP, scores.shape[1])
    pairs = zip(np.argsort(-scores, 1, "stable")[:, :top], np.argsort(-others, 1, "stable")[:, :top], strict=True)
    return float(np.mean([len(set(mine) & set(theirs)) / top for mine, theirs in pairs]))
