"""Following changes of files: what a file watcher reports goes through the pipeline, a few changed paths at a time.

The system tells of changes (watchfiles: inotify, FSEvents); this says which of them matter, and has them indexed or forgotten.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from glimpse import pipeline, sources
from glimpse.collection import Collection
from glimpse.errors import CollectionBusy, MissingExtra, UsageError
from glimpse.run import Wishes
from glimpse.sources import folder
from glimpse.values import Failure, Item, Report

ASKED_EVERY = 500  # milliseconds between two questions whether to stop


def check(places: Sequence[str]) -> None:
    """Refuse what cannot be watched.

    Raises:
        UsageError: a place that is no file or folder of this machine.
        MissingExtra: there is no watchfiles.
    """
    for place in places:
        if sources.of_place(place) is not folder or not os.path.exists(os.path.expanduser(place)):  # noqa: PTH110, PTH111
            raise UsageError(f"{place} cannot be watched: name a folder or a file of this machine")
    try:
        import watchfiles  # noqa: F401, PLC0415  (an extra)
    except ImportError as error:
        raise MissingExtra("--watch needs watchfiles: pip install 'glimpse-search[watch]'") from error


def watch(collection: Collection, places: Sequence[str], wishes: Wishes, stop: Callable[[], bool]) -> Iterator[Report]:
    """Index what changes below places, until `stop` says so; a report for every round in which something did.

    Raises:
        UsageError: a place is there no more; what was indexed of it stays, for its disk may be back tomorrow.
    """
    check(places)
    import watchfiles  # noqa: PLC0415  (an extra)

    roots = [os.path.abspath(os.path.expanduser(place)) for place in places]  # noqa: PTH100, PTH111  (links stay)
    rounds = watchfiles.watch(
        *roots, watch_filter=None, yield_on_timeout=True, rust_timeout=ASKED_EVERY, raise_interrupt=False,
        ignore_permission_denied=True,
    )  # fmt: skip
    next(rounds)  # from now on nothing is missed
    missed = pipeline.index(collection, places, wishes, progress=None, stop=stop)
    if _did_something(missed):  # what had failed before is no news
        yield missed
    waiting: set[str] = set()
    for some in rounds:
        if stop():
            return
        _check_roots(roots)
        waiting |= {path for _, path in some if _matters(collection, roots, path, wishes)}
        with contextlib.suppress(CollectionBusy):  # another process is at it: in the next round, then
            if waiting:
                report = _bring_up_to_date(collection, roots, sorted(waiting), wishes, stop)
                waiting.clear()
                if _did_something(report) or report.failures:
                    yield report


def _check_roots(roots: Sequence[str]) -> None:
    for root in roots:
        if not os.path.lexists(root):
            raise UsageError(f"{root} is there no more: what was indexed of it stays. Start again when it is back")


def _bring_up_to_date(
    collection: Collection, roots: Sequence[str], changed: Sequence[str], wishes: Wishes, stop: Callable[[], bool]
) -> Report:
    """Index what is at the changed paths now, and forget what was at or below them and is gone."""
    areas = [(folder.prefix_path(path), partial(folder.covers_path, path)) for path in changed if path not in roots]
    items = _items(roots, changed, wishes)
    return pipeline.bring_up_to_date(collection, items, areas, wishes, progress=None, stop=stop)


def _did_something(report: Report) -> bool:
    return bool(report.indexed or report.removed or report.moved)


def _matters(collection: Collection, roots: Sequence[str], path: str, wishes: Wishes) -> bool:
    return not pipeline.is_own(collection, path) and any(folder.allows(root, path, wishes.selection) for root in roots)


def _items(roots: Sequence[str], changed: Sequence[str], wishes: Wishes) -> Iterator[Item | Failure]:
    """What there is now at the changed paths, by the rules of the places that they are in."""
    for path in changed:
        if os.path.lexists(path):
            for one in folder.items_at(path, wishes.selection):
                where = one.key if isinstance(one, Failure) else str(one.origin[1])
                if any(folder.allows(root, where, wishes.selection) for root in roots):
                    yield one
