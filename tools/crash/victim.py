"""The command line with a witness: a log outside of the collection, written with one call of the system for each thing that is said.

Usage: python -P victim.py LOG MANNER index FOLDER …

    opening            a file is about to be opened, or made
    indexing           a run begins, and signals ask it to stop
    embedding: n       the tower is about to embed n pictures
    stored: …          a transaction is acknowledged: keys of frames, of finished films and of failures in it
    returned: bool     the run is over; whether it was interrupted

MANNER is `bench.Manner` as JSON. Everything else is as users have it.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from glimpse import cli, collection, encoder, run, store
from glimpse.values import frame_key

Say = Callable[..., object]


def main(log: str, manner: str, *arguments: str) -> None:
    """Run the command line under observation."""
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    wishes = json.loads(manner)

    def say(**what: Any) -> None:
        os.write(descriptor, json.dumps(what).encode() + b"\n")

    run.COMMIT_EVERY = wishes["commit_every"]
    _witness_opening(say, wishes)
    _witness_storing(say)
    _witness_running(say)
    sys.argv = ["glimpse", *arguments]
    cli.main()


def _witness_opening(say: Say, wishes: dict[str, Any]) -> None:
    connect = store.connect

    def witnessed(path: Path) -> Any:
        say(opening=True)
        db = connect(path)
        db.execute(f"PRAGMA wal_autocheckpoint = {wishes['checkpoint']}")
        db.execute(f"PRAGMA synchronous = {wishes['synchronous']}")
        return db

    store.connect = witnessed


def _witness_storing(say: Say) -> None:
    add = collection.Collection.add

    def witnessed(self: Any, embedded: Any, rows: Any, *, finished: Any = (), failed: Any = (), **others: Any) -> None:
        add(self, embedded, rows, finished=finished, failed=failed, **others)
        say(
            stored=[frame_key(what.item.key, what.time) for what in embedded],
            finished=[item.key for item, _ in finished],
            failed=[item.key for item, _, _ in failed],
        )

    collection.Collection.add = witnessed


def _witness_running(say: Say) -> None:
    index, embed = collection.Collection.index, encoder.Encoder.embed

    def witnessed_index(*arguments: Any, **options: Any) -> Any:
        say(indexing=True)
        report = index(*arguments, **options)
        say(returned=report.interrupted)
        return report

    def witnessed_embed(self: Any, prepared: Any) -> Any:
        say(embedding=len(prepared))
        return embed(self, prepared)

    collection.Collection.index, encoder.Encoder.embed = witnessed_index, witnessed_embed


if __name__ == "__main__":
    main(*sys.argv[1:])
