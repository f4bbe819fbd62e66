"""What the benchmarks share: rounds in turn, medians, tables, and results as JSON. Knows no model and no library measured.

The contestants of a question run in one process, one after the other, round after round (A B C A B C …), so that whatever
else slows the machine slows all of them; a ratio is taken within each round, and the median over rounds is reported.
"""

import importlib.util
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESULTS = Path(__file__).parent / "results"
BUSY = 0.5  # a load from before the start that makes figures doubtful
SAME = 0.99999  # cosine above which two libraries compute the same in float32
PEER = "transformers"  # what ours is compared with, where a result does not say otherwise
_LIBRARIES = (
    *("glimpse-search", "openvino", "onnxruntime", "numpy", "pillow", "tokenizers", "torch", "transformers"),
    *("sentence-transformers", "fastembed", "faiss-cpu", "usearch", "lancedb"),
)

Work = Callable[[], Any]


# Places and conditions ------------------------------------------------------------------------------------------------


def bench_folder() -> Path:
    """Where checkpoints, pictures and compiled towers of the benchmarks are kept: `GLIMPSE_BENCH`, or the user's cache."""
    return Path(os.environ.get("GLIMPSE_BENCH", "~/.cache/glimpse-bench")).expanduser()


def prepare() -> None:
    """Keep glimpse's own files apart from the user's, and say so when the machine is busy."""
    os.environ["GLIMPSE_CACHE"] = str(bench_folder() / "cache")
    os.environ["GLIMPSE_DATA"] = str(bench_folder() / "data")
    load = os.getloadavg()[0]
    if load > BUSY:
        say(f"other work is on this machine (load {load:.1f}): figures from a quiet one are to be trusted more")


def require_peers() -> None:
    """Leave with a sentence where the libraries to compare with are not installed."""
    missing = [name for name in ("torch", "transformers") if importlib.util.find_spec(name) is None]
    if missing:
        say(
            f"this benchmark compares with transformers; not installed: {', '.join(missing)}. `make bench` installs them"
        )
        sys.exit(2)
    os.environ["HF_HUB_OFFLINE"] = "1"  # the checkpoint is on disk: nothing to ask the hub for


def installed(library: str) -> bool:
    """Whether a peer that a benchmark can do without is installed; says so where it is not."""
    found = importlib.util.find_spec(library) is not None
    if not found:
        say(f"{library} is not installed: it is left out")
    return found


def machine() -> dict[str, Any]:
    """What the figures depend on, and nothing that names the machine."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    facts = dict(reversed([[part.strip() for part in line.split(":", 1)] for line in lines if ":" in line]))
    wide = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if name in facts.get("flags", "").split()]
    family = f"family {facts['cpu family']}, model {facts['model']}" if "cpu family" in facts else ""
    return ", ".join(filter(None, [facts.get("model name", platform.machine()), family, " ".join(wide)]))


def versions() -> dict[str, str]:
    """Versions of the libraries that decide the figures, of those installed."""
    return {name: found for name in _LIBRARIES if (found := _version(name))}


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


# What a run finds -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Figure:
    """What one contestant reached: the median, and what it is the median of; of latencies also the 90th percentile."""

    what: str
    unit: str
    median: float
    rounds: list[float]
    p90: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """How many times as fast, or as small, ours is: the median of the ratios within each round.

    A target of None is for information.
    """

    what: str
    unit: str
    ours: float
    peer: float
    peer_is: str
    ratio: float
    ratios: list[float]
    target: float | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """A time, or memory, that is to stay below a limit; a limit of None is for information."""

    what: str
    unit: str
    measured: float
    rounds: list[float]
    limit: float | None = None


@dataclass(frozen=True, slots=True)
class Agreement:
    """Whether two libraries found the same: the lowest cosine between their rows, and what it must exceed."""

    what: str
    lowest: float
    floor: float | None = None


@dataclass(frozen=True, slots=True)
class Recall:
    """The share of the exact answer that was found, and what it must reach; a floor of None is for information."""

    what: str
    share: float
    floor: float | None = None


@dataclass(frozen=True, slots=True)
class Engine:
    """What `glimpse verify` found of one engine: cosines to float32, share of the ten pictures found, pictures a second."""

    what: str
    mean: float
    low: float
    overlap: float
    rate: float
    times: float


@dataclass(frozen=True, slots=True)
class Drift:
    """How far a short cut takes vectors from exact ones (`verify.drift`); `share` is that of the pictures that it is taken for."""

    what: str
    share: float
    mean: float
    low: float
    overlap: float
    passes: bool


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to one question, as it is kept in `results/`; `peer` is the library that ours is compared with."""

    question: str
    setup: Mapping[str, Any]
    figures: Sequence[Figure] = ()
    comparisons: Sequence[Comparison] = ()
    limits: Sequence[Limit] = ()
    agreements: Sequence[Agreement] = ()
    recalls: Sequence[Recall] = ()
    engines: Sequence[Engine] = ()
    drifts: Sequence[Drift] = ()
    peer: str = PEER
    date: str = field(default_factory=lambda: datetime.now(UTC).date().isoformat())
    machine: Mapping[str, Any] = field(default_factory=machine)
    versions: Mapping[str, str] = field(default_factory=versions)


# Measuring ------------------------------------------------------------------------------------------------------------


def seconds(work: Work) -> float:
    """Time one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_turn(
    contestants: Mapping[str, Work], rounds: int, measure: Callable[[Work], Any] = seconds
) -> dict[str, list[Any]]:
    """Measure every contestant in every round, after a round that does not count; name → one measurement a round."""
    found: dict[str, list[Any]] = {name: [] for name in contestants}
    for i in range(rounds + 1):
        for name, work in contestants.items():
            say(f"{f'round {i} of {rounds}' if i else 'warming up'}: {name}")
            measured = measure(work)
            if i:
                found[name].append(measured)
    return found


def rates(times: Sequence[float], count: int) -> list[float]:
    """Seconds for so many things → things a second."""
    return [count / time for time in times]


def rate_figure(what: str, unit: str, times: Sequence[float], count: int) -> Figure:
    """What a contestant reached, in things a second."""
    reached = rates(times, count)
    return Figure(what, unit, statistics.median(reached), reached)


def speedups(ours: Sequence[float], peer: Sequence[float]) -> list[float]:
    """How many times as long the peer took, round by round."""
    return [theirs / mine for mine, theirs in zip(ours, peer, strict=True)]


def fastest(times: Mapping[str, Sequence[float]]) -> str:
    """The name of the contestant with the lowest median time."""
    return min(times, key=lambda name: statistics.median(times[name]))


def own_memory(process: str = "self") -> float:
    """Megabytes that a process has for itself (Linux): files that it has mapped are the system's to keep or to drop."""
    return shares(process, "Pss_Anon:", "Pss_Shmem:") / 1e6


def shares(process: str, *kinds: str) -> int:
    """Bytes of these kinds, of /proc/PID/smaps_rollup: what several processes share counts in parts; 0 where it has ended."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text("utf-8").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(kinds))


def lowest_cosine(some: NDArray[np.float32], others: NDArray[np.float32]) -> float:
    """The lowest cosine between rows (n, dim) in the same place."""
    a, b = (rows.astype(np.float64) / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (some, others))
    return float((a * b).sum(1).min())


# Telling --------------------------------------------------------------------------------------------------------------


def say(sentence: str) -> None:
    """Tell the person who waits; what is found goes to standard output."""
    print(sentence, file=sys.stderr, flush=True)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out a Markdown table whose columns line up."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(f"| {' | '.join(map(str.ljust, line, widths))} |" for line in lines)


def tables(result: Mapping[str, Any]) -> str:
    """Everything a result (as its JSON) says, as Markdown tables."""
    layouts = {
        "comparisons": (("", "glimpse", result.get("peer", PEER), "ratio", "rounds", "target", ""), _comparison),
        "limits": (("", "measured", "rounds", "target", ""), _limit),
        "figures": (("every figure", "median", "90th percentile", "rounds"), _figure),
        "agreements": (("lowest cosine between the two", "", "must exceed"), _agreement),
        "recalls": (("found of the exact answer", "share", "target", ""), _recall),
        "engines": (("", "cosine", "0.1 percentile", "top 10", "images/s", "times"), _engine),
        "drifts": (("", "decoded smaller", "cosine", "0.1 percentile", "top 10", "gate"), _drift),
    }
    return "\n\n".join(
        table(head, [row(one) for one in result[name]]) for name, (head, row) in layouts.items() if result.get(name)
    )


def _comparison(one: Mapping[str, Any]) -> list[str]:
    reached = [_number(one["ours"], one["unit"]), f"{_number(one['peer'], one['unit'])} ({one['peer_is']})"]
    target, met = _target(one["target"], "≥ {:g}×", met=one["ratio"] >= (one["target"] or 0))
    return [one["what"], *reached, f"{one['ratio']:.2f}×", _range(one["ratios"]), target, met]


def _limit(one: Mapping[str, Any]) -> list[str]:
    target, met = _target(one["limit"], f"≤ {{:g}} {one['unit']}", met=one["measured"] <= (one["limit"] or 0))
    return [one["what"], _number(one["measured"], one["unit"]), _range(one["rounds"]), target, met]


def _figure(one: Mapping[str, Any]) -> list[str]:
    p90 = "" if one["p90"] is None else _number(one["p90"], one["unit"])
    return [one["what"], _number(one["median"], one["unit"]), p90, _range(one["rounds"])]


def _agreement(one: Mapping[str, Any]) -> list[str]:
    return [one["what"], f"{one['lowest']:.7f}", "" if one["floor"] is None else f"{one['floor']}"]


def _recall(one: Mapping[str, Any]) -> list[str]:
    target, met = _target(one["floor"], "≥ {:g}", met=one["share"] >= (one["floor"] or 0))
    return [one["what"], f"{one['share']:.4f}", target, met]


def _engine(one: Mapping[str, Any]) -> list[str]:
    fidelity = [f"{one['mean']:.6f}", f"{one['low']:.6f}", f"{one['overlap']:.3f}"]
    return [one["what"], *fidelity, _short(one["rate"]), f"{one['times']:.2f}"]


def _drift(one: Mapping[str, Any]) -> list[str]:
    fidelity = [f"{one['mean']:.6f}", f"{one['low']:.6f}", f"{one['overlap']:.3f}"]
    return [one["what"], f"{one['share']:.0%}", *fidelity, "met" if one["passes"] else "missed"]


def _target(target: float | None, form: str, *, met: bool) -> tuple[str, str]:
    return ("", "") if target is None else (form.format(target), "met" if met else "missed")


def _number(value: float, unit: str) -> str:
    return f"{_short(value)} {unit}"


def _range(values: Sequence[float]) -> str:
    return f"{_short(min(values))} – {_short(max(values))}"


def _short(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def finish(result: Result, *, keep: bool) -> None:
    """Print what was found and keep it as JSON; leave with 1 where the libraries do not agree, for then it means nothing."""
    plain = asdict(result)
    print(tables(plain))
    apart = [one.what for one in result.agreements if one.floor is not None and not one.lowest > one.floor]
    if apart:
        say(f"the two libraries do not compute the same ({'; '.join(apart)}): nothing was kept")
        sys.exit(1)
    if keep:
        RESULTS.mkdir(exist_ok=True)
        text = json.dumps(_rounded(plain), indent=2, ensure_ascii=False)
        (RESULTS / f"{result.question}.json").write_text(f"{text}\n", "utf-8")


def _rounded(value: Any) -> Any:
    """Leave out digits that say nothing, of times and ratios; cosines keep eight."""
    if isinstance(value, float):
        return round(value, 8) if 0.9 < value < 1.1 else float(f"{value:.5g}")
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list | tuple) else value
