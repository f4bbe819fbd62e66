"""What the log of a victim says: what was embedded, and what was acknowledged as stored."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Statement:
    """What one run, or several after each other, said.

    Attributes:
        words: what was said at all, such as "opening".
        embedded: how many rows; those at which the tower was when it ended count too.
        commits: keys of frames, of each transaction.
        finished, failed: keys of films that are whole, and of items that could not be used.
        interrupted: whether the run returned as one that was stopped; None where it did not return.
    """

    words: frozenset[str] = frozenset()
    embedded: int = 0
    commits: tuple[tuple[str, ...], ...] = ()
    finished: frozenset[str] = frozenset()
    failed: frozenset[str] = frozenset()
    interrupted: bool | None = None

    @classmethod
    def of(cls, text: str) -> Self:
        """Read a log; the end of a last line may be missing."""
        said = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
        commits = [one for one in said if "stored" in one]
        return cls(
            words=frozenset(word for one in said for word in one),
            embedded=sum(one.get("embedding", 0) for one in said),
            commits=tuple(tuple(one["stored"]) for one in commits),
            finished=frozenset(key for one in commits for key in one["finished"]),
            failed=frozenset(key for one in commits for key in one["failed"]),
            interrupted=next((one["returned"] for one in said if "returned" in one), None),
        )

    @property
    def stored(self) -> frozenset[str]:
        """Keys of all frames that were acknowledged."""
        return frozenset(key for commit in self.commits for key in commit)


def together(statements: Iterable[Statement]) -> Statement:
    """What several runs said, one after the other."""
    every = list(statements)
    return Statement(
        words=frozenset().union(*(one.words for one in every)),
        embedded=sum(one.embedded for one in every),
        commits=tuple(commit for one in every for commit in one.commits),
        finished=frozenset().union(*(one.finished for one in every)),
        failed=frozenset().union(*(one.failed for one in every)),
        interrupted=every[-1].interrupted if every else None,
    )
