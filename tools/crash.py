"""Hurt indexing runs at random moments, and see that nothing is lost: `python tools/crash.py [KIND …] [--times N] [--seed S]`.

kill         SIGKILL, to the process group or to the program alone
interrupt    SIGINT to the process group
terminate    SIGTERM to the process group
full         a disk that fills up (as root)
power        only what was synchronised survives (needs strace)
reading      nobody is hurt, and a reader looks all the time

After each, the collection has to open, pass SQLite's own checks, hold what was acknowledged, nothing twice, and only the vectors of an
undisturbed run; a run to the end embeds nothing that is stored, and ends in the same digest. Exits with 1 where something does not hold.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from signal import SIGINT, SIGTERM
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parent))

from crash import checks, full, kill, power, reading, stop
from crash.bench import Bench
from crash.tally import Skipped, Tally

KINDS: Mapping[str, Callable[[Bench, int, int], Tally]] = {
    "kill": kill.run,
    "interrupt": partial(stop.run, number=SIGINT),
    "terminate": partial(stop.run, number=SIGTERM),
    "full": full.run,
    "power": power.run,
    "reading": reading.run,
}


def main() -> int:
    arguments = parse()
    kinds = list(KINDS) if "all" in arguments.kinds else arguments.kinds
    with TemporaryDirectory(prefix="glimpse-crash-") as scratch:
        bench = Bench(Path(scratch))
        rows, seconds = len(bench.reference.vectors), bench.seconds
        print(f"seed {arguments.seed}; an undisturbed run: {rows} rows in {seconds:.1f} s; bound {checks.BOUND} rows")
        violations = [sentence for kind in kinds for sentence in tried(kind, bench, arguments.times, arguments.seed)]
    print("\n".join(violations) or "nothing was lost")
    return bool(violations)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", default="all", choices=[*KINDS, "all"], metavar="KIND", help="default: all")
    parser.add_argument("--times", type=int, default=200, help="moments of each kind")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the moments")
    return parser.parse_args()


def tried(kind: str, bench: Bench, times: int, seed: int) -> list[str]:
    """Try one kind, print how it went, and return what does not hold."""
    began = time.monotonic()
    try:
        tally = KINDS[kind](bench, times, seed)
    except Skipped as reason:
        print(f"{kind}: skipped, {reason}")
        return []
    print(f"{tally} ({time.monotonic() - began:.0f} s)", flush=True)
    return tally.violations


if __name__ == "__main__":
    sys.exit(main())
