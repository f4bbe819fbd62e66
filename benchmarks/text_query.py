"""How long one short text takes to become a vector, warm: glimpse beside transformers, same checkpoint, in one run.

transformers pads to 77 tokens where a program asks for `padding="max_length"`, as AutoMM and CLIP's own code do; without
padding it is quicker, and that is measured too.
"""

import argparse
import statistics
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

import checkpoint
import glimpse
import measure
from measure import Agreement, Comparison, Figure, Result, Work

TEXT = "a carriage"
UNIT = "ms"
TARGET = 5.0  # how many times as fast, the best precision against transformers in float32, padded
PADDINGS = {"max_length": "padded to 77", "longest": "not padded"}


def main() -> None:
    asked = _arguments()
    measure.require_peers()
    measure.prepare()
    folder = checkpoint.make(asked.model)
    encoders, peers = _load(folder)
    rounds = measure.in_turn(_contestants(encoders, peers), asked.rounds, partial(_latencies, calls=asked.calls))
    measure.finish(
        Result(
            question=checkpoint.result_name("text_query", asked.model),
            setup=_setup(asked),
            figures=[_figure(name, of_rounds) for name, of_rounds in rounds.items()],
            comparisons=_comparisons(rounds, best=next(iter(encoders))),
            agreements=_agreements(encoders, peers),
        ),
        keep=asked.keep,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=checkpoint.DEFAULT, choices=checkpoint.SIZES)
    parser.add_argument("--calls", type=int, default=30, help="how many in a row, in every round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-keep", dest="keep", action="store_false", help="print only, write no results")
    return parser.parse_args()


def _setup(asked: argparse.Namespace) -> dict[str, Any]:
    import peer

    return {
        "model": asked.model,
        "text": TEXT,
        "calls in a round": asked.calls,
        "rounds": asked.rounds,
        "torch threads": peer.threads(),
    }


def _load(folder: Any) -> tuple[dict[str, glimpse.Encoder], dict[str, Any]]:
    """Ours and theirs, by precision; ours with the best first."""
    import peer

    native = glimpse.load(folder).precision
    ours = {name: glimpse.load(folder, precision=name) for name in dict.fromkeys([native, "float32"])}
    return ours, {name: peer.load(folder, name) for name in ("float32", "bfloat16")}


def _ours(precision: str) -> str:
    return f"glimpse {precision}"


def _theirs(precision: str, padding: str) -> str:
    return f"transformers {precision}, {PADDINGS[padding]}"


def _contestants(encoders: Mapping[str, glimpse.Encoder], peers: Mapping[str, Any]) -> Mapping[str, Work]:
    ours = {_ours(name): partial(encoder.texts, [TEXT]) for name, encoder in encoders.items()}
    theirs = {
        _theirs(name, padding): partial(peer.texts, [TEXT], padding)
        for name, peer in peers.items()
        for padding in PADDINGS
    }
    return ours | theirs


def _latencies(work: Work, calls: int) -> list[float]:
    """Milliseconds of so many calls, after two that only bring the weights back into the processor's cache."""
    for _ in range(2):
        work()
    return [1000 * measure.seconds(work) for _ in range(calls)]


def _figure(what: str, rounds: Sequence[Sequence[float]]) -> Figure:
    every = [latency for latencies in rounds for latency in latencies]
    medians = _medians(rounds)
    return Figure(what, UNIT, statistics.median(medians), medians, float(np.percentile(every, 90)))


def _medians(rounds: Sequence[Sequence[float]]) -> list[float]:
    return [statistics.median(latencies) for latencies in rounds]


def _comparisons(rounds: Mapping[str, Sequence[Sequence[float]]], best: str) -> list[Comparison]:
    """Ours at its best against all of theirs, and ours in float32 against theirs in float32."""
    theirs = [(precision, padding) for precision in ("float32", "bfloat16") for padding in PADDINGS]
    pairs = [(best, *their) for their in theirs]
    pairs += [("float32", "float32", padding) for padding in PADDINGS if best != "float32"]
    medians = {name: _medians(of_rounds) for name, of_rounds in rounds.items()}
    goal = (best, "float32", "max_length")
    return [_comparison(pair[0], _theirs(*pair[1:]), medians, TARGET if pair == goal else None) for pair in pairs]


def _comparison(ours: str, theirs: str, medians: Mapping[str, Sequence[float]], target: float | None) -> Comparison:
    ratios = measure.speedups(medians[_ours(ours)], medians[theirs])
    return Comparison(
        what=f"one text, {ours}",
        unit=UNIT,
        ours=statistics.median(medians[_ours(ours)]),
        peer=statistics.median(medians[theirs]),
        peer_is=theirs.removeprefix("transformers "),
        ratio=statistics.median(ratios),
        ratios=ratios,
        target=target,
    )


def _agreements(encoders: Mapping[str, glimpse.Encoder], peers: Mapping[str, Any]) -> list[Agreement]:
    exact = peers["float32"].texts([TEXT], "max_length")
    ours = [
        Agreement(
            name, measure.lowest_cosine(encoder.texts([TEXT]), exact), measure.SAME if name == "float32" else None
        )
        for name, encoder in encoders.items()
    ]
    half = measure.lowest_cosine(peers["bfloat16"].texts([TEXT], "max_length"), exact)
    return [*ours, Agreement("transformers' own bfloat16, for comparison", half)]


if __name__ == "__main__":
    main()
