"""One collection that several runs after each other are hurt at, and what they said."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from crash import checks
from crash.bench import Bench, Victim
from crash.state import State
from crash.tally import Tally
from crash.witness import Statement, together
from glimpse.collection import Collection
from glimpse.errors import GlimpseError


@dataclass(slots=True)
class Chain:
    """A collection from nothing to the end.

    Attributes:
        path: the collection.
        name: what a person needs to try it again.
        stored: rows that were there when it was looked at last.
        said: what its runs said so far.
    """

    bench: Bench
    tally: Tally
    path: Path
    name: str
    stored: int = 0
    said: list[Statement] = field(default_factory=list)

    def check(self, victim: Victim, where: str, copy: Path | None = None) -> State | None:
        """Look at what a run left, or at a copy of that."""
        self.said.append(victim.said)
        state, violations = checks.survived(copy or self.path, self.bench.reference, together(self.said))
        stored = len(state.vectors) if state else self.stored
        waste, self.stored = victim.said.embedded - (stored - self.stored), stored
        self.tally.most = max(self.tally.most, waste)
        self.blame(where, [*violations, *checks.in_vain(waste)])
        return state

    def finish(self) -> None:
        """Have one more run, which nobody disturbs."""
        before, victim = self.stored, self.bench.finish(self.path)
        state = self.check(victim, "at the end")
        self.blame("at the end", checks.finished(victim, state, self.bench.reference, before))
        self.tally.finished += 1

    def blame(self, where: str, sentences: list[str]) -> None:
        """Take violations down."""
        self.tally.blame(f"{self.name} {where}", sentences)

    @contextmanager
    def onlooker(self) -> Iterator[None]:
        """Have the file open in this process too, if it is there, and search it before and after what happens meanwhile."""
        if not self.path.exists():
            yield
            return
        try:
            with Collection(self.path) as collection:
                checks.search(collection)
                yield
                checks.search(collection)
        except GlimpseError as error:
            self.blame("for a reader that was there all the time", [str(error)])
