"""Rows in files → codes in files, shaped by one half of what is asked and measured with the other.

Codes are made once, given to rows that come later as well, and made anew where that is worth it: `refit` says so where there is time.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from glimpse.search import recall
from glimpse.search.codes import Codes
from glimpse.search.files import Files, Manifest
from glimpse.search.halves import Halves
from glimpse.search.recall import WIDEST, Reach
from glimpse.values import Rows

VERY_MANY = 4_000_000  # rows; their codes are put into lists, of which a query scans some, if that finds enough
TAIL, SHARE = 5_000, 1 / 500  # rows without codes, which are compared one by one: so many, or so much of all
GROWN = 2.0  # times as many rows as codes were fitted to: they are fitted anew
ENOUGH = 200  # different queries, that say more than captions do

Probes = Callable[[], Rows]


def coded(files: Files, kept: Manifest, captions: Probes, *, refit: bool) -> Manifest:
    """Have codes for all rows but the last few.

    Args:
        files: that are held for changing.
        kept: what they hold.
        captions: see `Upkeep`.
        refit: fit them anew where what was asked since says more than captions did, or rows are many more.

    Raises:
        ValueError: rows or codes are damaged.
        OSError: files cannot be written.
    """
    if not kept.coded or (refit and _is_outdated(files, kept)):
        return _fitted(files, kept, captions)
    if kept.rows - kept.coded <= max(TAIL, SHARE * kept.rows):
        return kept
    codes = files.codes(kept)
    codes.add(files.rows(kept)[kept.coded :])
    return _put(files, kept, codes)


def without_codes(kept: Manifest) -> Manifest:
    """Files whose codes are not believed."""
    return replace(kept, coded=0, codes="", fitted=0, reaches=())


def grown(kept: Manifest) -> list[Reach]:
    """What was measured when codes were fitted, for the rows that there are now: in as many more, candidates are as much rarer."""
    times = max(1.0, kept.coded / max(1, kept.fitted))
    wider = [replace(reach, candidates=round(times * reach.candidates)) for reach in kept.reaches]
    return [reach for reach in wider if reach.candidates <= WIDEST]


def _is_outdated(files: Files, kept: Manifest) -> bool:
    is_better = kept.asked != "queries" and len(files.queries(kept.model, kept.dim)) >= ENOUGH
    return is_better or not kept.probes or kept.rows > GROWN * kept.fitted


def _fitted(files: Files, kept: Manifest, captions: Probes) -> Manifest:
    """Make codes of all rows, and measure what they find, with what was asked lately or else with captions."""
    asked = files.queries(kept.model, kept.dim)
    enough = len(asked) >= ENOUGH
    probes = asked if enough else captions()
    probes = probes[np.random.default_rng(0).permutation(len(probes))]
    codes, reaches = _made(files.rows(kept), probes[::2], probes[1::2])
    now = replace(
        kept,
        fitted=kept.rows,
        asked="queries" if enough else "captions",
        probes=len(probes[1::2]),
        reaches=tuple(reaches),
        measured=datetime.now(UTC).date().isoformat(),
    )
    return _put(files, now, codes)


def _made(rows: Halves, fit: Rows, held: Rows) -> tuple[Codes, list[Reach]]:
    """Codes, and what they find of what was held out: in lists if they are worth it, else flat."""
    if len(rows) >= VERY_MANY and len(held):
        codes = Codes.made(rows, fit, round(len(rows) ** 0.5))
        if reaches := recall.reaches(codes, rows, held):
            return codes, reaches
    codes = Codes.made(rows, fit)
    return codes, recall.reaches(codes, rows, held)


def _put(files: Files, kept: Manifest, codes: Codes) -> Manifest:
    now = files.put_codes(kept, codes)
    files.keep(now)
    return now
