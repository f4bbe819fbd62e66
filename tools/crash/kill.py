"""SIGKILL at random moments, several in a row on the same collection before one run goes to the end."""

import random
import shutil
from contextlib import nullcontext

from crash.bench import EAGER, USUAL, Bench
from crash.chain import Chain
from crash.tally import Tally

IN_A_ROW = 5  # at most


def run(bench: Bench, times: int, seed: int) -> Tally:
    """Kill runs at so many moments."""
    tally, number = Tally("kill"), 0
    while tally.points < times:
        name = f"{seed}-{number}"
        _chain(Chain(bench, tally, bench.fresh() / "photos.db", name), random.Random(name), times)
        number += 1
    return tally


def _chain(chain: Chain, rng: random.Random, times: int) -> None:
    for _ in range(rng.randint(1, IN_A_ROW)):
        if chain.tally.points < times:
            with chain.onlooker() if rng.random() < 0.5 else nullcontext():
                _point(chain, rng)
    chain.finish()
    shutil.rmtree(chain.path.parent)


def _point(chain: Chain, rng: random.Random) -> None:
    """Kill a run, or the program alone as the system does when memory is short, if it does not end before."""
    moment, alone = rng.random() * chain.bench.seconds_left(chain.stored), rng.random() < 0.25
    victim = chain.bench.start(chain.path, rng.choice((USUAL, EAGER)))
    victim.wait_for("opening")
    where = f"after {moment:.3f} s"
    if not victim.ends_within(moment):
        chain.blame(where, victim.kill(alone=alone))
        chain.tally.points += 1
        chain.tally.note("of the program alone", alone)
    chain.check(victim, where)
