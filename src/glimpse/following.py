"""Files beside a collection ← the collection's rows: brought up to a commit by what came and went since theirs, or made anew.

The collection is the truth. The files name the commit that they hold; if the collection does not know it, because an older copy of it was put
back, or another model made what is in it now, nothing of them is kept. Knows the tables and the files, and nothing of searching.
"""

import errno
import os
import shutil
from dataclasses import replace

import numpy as np

from glimpse.search.files import FACTS, Files, Manifest
from glimpse.store import Commit, Store

DEAD = 0.05  # of the rows; with more of them gone, the files are made anew
CODES = 8  # bytes of a row for each of its code, at least: what files take beside rows is less than this


def holds(kept: Manifest, commit: Commit) -> bool:
    """Whether files are of a commit."""
    return (kept.commit, kept.stamp) == (commit.id, commit.stamp.hex())


def model_of(store: Store) -> tuple[str, int]:
    """What rows are made with, whatever the precision, and how wide they are."""
    made_by = store.generation
    return (made_by.fingerprint.partition("+")[0], made_by.dim) if made_by else ("", 0)


def followed(store: Store, files: Files, commit: Commit) -> Manifest:
    """Have the files hold the rows of a commit, by what came and went since theirs, or from the beginning.

    Raises:
        ValueError: what is there is damaged.
        OSError: they cannot be written.
    """
    kept = files.manifest()
    if kept is None or (kept.model, kept.dim) != model_of(store):
        return begun(store, files, commit)
    if holds(kept, commit):
        return kept
    is_known = store.knows(Commit(kept.commit, bytes.fromhex(kept.stamp)))
    return _caught_up(store, files, kept, commit) if is_known else begun(store, files, commit)


def begun(store: Store, files: Files, commit: Commit) -> Manifest:
    """Have new files hold the rows of a commit; raises OSError where they cannot be written, and leaves nothing then."""
    model, dim = model_of(store)
    if shutil.disk_usage(files.folder).free < len(store) * (2 * dim + FACTS.itemsize + dim // CODES):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    new = files.begun(model, dim)
    try:
        return _kept(files, _appended(store, files, new, 0), commit)
    except BaseException:
        files.drop(new.name)
        raise


def _caught_up(store: Store, files: Files, kept: Manifest, commit: Commit) -> Manifest:
    frames = files.facts(kept)["frame"]
    now = _appended(store, files, kept, int(frames[-1]))
    if now.live != len(store):
        frames = files.facts(now)["frame"]
        now = replace(now, dead=tuple(np.flatnonzero(~np.isin(frames, store.frames())).tolist()))
    if len(now.dead) > DEAD * now.rows or now.live != len(store):
        return begun(store, files, commit)
    return _kept(files, now, commit)


def _appended(store: Store, files: Files, to: Manifest, last: int) -> Manifest:
    for facts, halves in store.after(last):
        to = files.appended(to, halves, facts)
    return to


def _kept(files: Files, manifest: Manifest, commit: Commit) -> Manifest:
    now = replace(manifest, commit=commit.id, stamp=commit.stamp.hex())
    files.keep(now)
    return now
