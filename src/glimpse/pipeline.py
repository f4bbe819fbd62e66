"""START HERE: the loop from places to stored vectors, on one page.

    source ──► decode ──► pixels ──► encode ──► store
    Listing    workers (Pool)        embedded   Run.commit

Sources say what there is; what has changed goes to the workers, which read and decode; a thread runs the tower; this one stores, in a
transaction about every second. Every item ends in exactly one of indexed, unchanged and failed. A film is done when all its frames are:
one that a run was killed at goes on where it was.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import takewhile

from PIL import Image

from glimpse import sources
from glimpse.collection import Collection
from glimpse.database import writing
from glimpse.embedding import Profile, embedded
from glimpse.encoder import Encoder
from glimpse.errors import BadItem, UsageError
from glimpse.listing import Listing
from glimpse.run import Area, Run, Wishes
from glimpse.upkeep import folder_beside
from glimpse.values import Failure, Item, Progress, Report, Sampling, Selection
from glimpse.workers.events import Ending, Frame, Task
from glimpse.workers.pool import Pool
from glimpse.workers.recipe import Recipe

FILES = ("", "-wal", "-shm", "-lock")  # what the names of a collection's files end in


def index(
    collection: Collection,
    places: Sequence[str],
    wishes: Wishes,
    *,
    progress: Callable[[Progress], object] | None,
    stop: Callable[[], bool],
) -> Report:
    """Bring a collection up to date with places; see `Collection.index`."""
    if not places:
        raise UsageError("there is nothing to index: name a folder with pictures")
    areas = [_area(place) for place in places]
    return bring_up_to_date(collection, listed(places, wishes.selection), areas, wishes, progress=progress, stop=stop)


def _area(place: str) -> Area:
    source = sources.of_place(place)
    return source.prefix(place), partial(source.covers, place)


def bring_up_to_date(
    collection: Collection,
    found: Iterable[Item | Failure],
    areas: Sequence[Area],
    wishes: Wishes,
    *,
    progress: Callable[[Progress], object] | None,
    stop: Callable[[], bool],
) -> Report:
    """Bring a collection up to date with what was found in places, and forget what is there no more."""
    began, tell = time.monotonic(), progress or (lambda _: None)
    with writing(collection.path), closing(_listing(collection, found, tell, stop)) as listing:
        encoder = collection.encoder
        run = Run(collection, listing, wishes, Profile(os.cpu_count() or 1), began)
        tell(run.progress())
        if stop():
            return run.report(interrupted=True)
        with Pool(_recipe(encoder, wishes)) as pool:
            events = run.fresh(pool.run(run.changed(), run.is_wanted))
            for batch in embedded(encoder, events, run.profile):
                run.take(batch)
                if run.is_due():
                    run.commit()
                run.tell(tell)
                if stop():
                    run.commit()
                    return run.report(interrupted=True)
        run.commit()
        run.forget_missing(areas)
        tell(run.progress())
        report = run.report()
    if not stop():
        collection.prepare_search()  # others may index meanwhile: files are held by a lock of their own
    return report


def _recipe(encoder: Encoder, wishes: Wishes) -> Recipe:
    rules = encoder.card.pixels
    return Recipe(
        rules.size,
        rules,
        parity=encoder.parity,
        fidelity=encoder.fidelity,
        sampling=wishes.sampling or Sampling(),
        min_side=wishes.min_side,
        limits=wishes.limits,
    )


def check(places: Sequence[str], selection: Selection) -> None:
    """Refuse places of this machine that are not there or hold nothing, before any work is done."""
    for place in places:
        if place != "-" and "://" not in place:
            next(listed([place], selection), None)


def thumbnail(item: Item, moment: float | None, size: int) -> Image.Image:
    """Decode one picture, or one frame of a film, in a worker; see `Collection.thumbnail`."""
    with Pool(Recipe(size, None), workers=1) as pool:
        found = [event for event in pool.run([Task(item, time=-1.0 if moment is None else moment)]) if event]
    for event in found:
        if isinstance(event, Frame):
            return Image.fromarray(event.pixels)
    failure = next(event.failure for event in found if isinstance(event, Ending) and event.failure)
    raise BadItem(failure.code, failure.message)


def listed(places: Sequence[str], selection: Selection) -> Iterator[Item | Failure]:
    """What there is in places.

    Raises:
        UsageError: a place is not there, or holds nothing: that is taken for a disk that is not mounted.
    """
    for place in places:
        nothing = True
        for one in sources.of_place(place).items(place, selection):
            nothing = False
            yield one
        if nothing:
            raise UsageError(f"there are no files in {place}: name a place with pictures, or check what is left out")


def _listing(
    collection: Collection,
    found: Iterable[Item | Failure],
    tell: Callable[[Progress], object],
    stop: Callable[[], bool],
) -> Listing:
    began = time.monotonic()
    listing = Listing(
        takewhile(lambda _: not stop(), found),
        lambda count: tell(Progress(count, None, 0, 0, time.monotonic() - began)),
    )
    for path in (str(collection.path), os.path.realpath(collection.path), f"{folder_beside(collection.path)}"):
        listing.remove(lambda key: is_own(collection, key), path)  # it may be in the folder
    return listing


def is_own(collection: Collection, path: str) -> bool:
    """Whether a path is one of the files that a collection is kept in, or is searched with."""
    files = {f"{name}{suffix}" for name in (collection.path, os.path.realpath(collection.path)) for suffix in FILES}
    return path in files or path.startswith(f"{folder_beside(collection.path)}{os.sep}")
