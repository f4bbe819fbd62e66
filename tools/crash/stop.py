"""SIGINT and SIGTERM to a whole process group, as a terminal and a service manager send them."""

import json
import random
import shutil
from signal import Signals

from crash.bench import Bench, Victim
from crash.chain import Chain
from crash.tally import Tally

INTERRUPTED = 130  # the exit code
IN_A_ROW = 4  # at most


def run(bench: Bench, times: int, seed: int, number: Signals) -> Tally:
    """Stop runs at so many moments."""
    tally, chains = Tally(number.name), 0
    while tally.points < times:
        name = f"{seed}-{chains}"
        _chain(Chain(bench, tally, bench.fresh() / "photos.db", name), random.Random(name), times, number)
        chains += 1
    return tally


def _chain(chain: Chain, rng: random.Random, times: int, number: Signals) -> None:
    for _ in range(rng.randint(1, IN_A_ROW)):
        if chain.tally.points < times:
            _point(chain, rng, number)
    chain.finish()
    shutil.rmtree(chain.path.parent)


def _point(chain: Chain, rng: random.Random, number: Signals) -> None:
    moment = rng.random() * chain.bench.seconds_left(chain.stored)
    victim = chain.bench.start(chain.path)
    victim.wait_for("indexing")
    where = f"after {moment:.3f} s"
    if not victim.ends_within(moment):
        victim.signal(number)
        victim.wait()
        if victim.said.interrupted is False:
            chain.tally.note("too late")  # it had done everything, and was about to say so
        else:
            chain.tally.points += 1
            chain.blame(where, complaints(victim) + victim.left_over())
    chain.check(victim, where)


def complaints(victim: Victim) -> list[str]:
    """How a run that was asked to stop does not stop as it should."""
    wrong = [] if victim.wait() == INTERRUPTED else [f"it exits with {victim.wait()}: {victim.err}"]
    wrong += [f"it shows a traceback: {victim.err}"] if "Traceback" in victim.err else []
    return wrong if _is_report(victim.out) else [*wrong, f"there is no report that says interrupted: {victim.out!r}"]


def _is_report(text: str) -> bool:
    try:
        return json.loads(text)["interrupted"] is True
    except (ValueError, KeyError):
        return False
