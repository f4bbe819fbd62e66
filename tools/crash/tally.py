"""How a kind of crash went, as a line to print."""

from dataclasses import dataclass, field


class Skipped(Exception):
    """This machine cannot try it; says why."""


@dataclass(slots=True)
class Tally:
    """Counts of one kind.

    Attributes:
        points: moments at which a run was hurt.
        finished: runs that were taken to the end afterwards.
        most: the largest number of rows that were embedded in vain at one point, and so embedded again.
        violations: sentences, each with what it takes to try it again.
        notes: what else is worth a number.
    """

    kind: str
    points: int = 0
    finished: int = 0
    most: int = 0
    violations: list[str] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)

    def note(self, what: str, count: int = 1) -> None:
        """Count something."""
        self.notes[what] = self.notes.get(what, 0) + count

    def blame(self, where: str, sentences: list[str]) -> None:
        """Take violations down, with the place where they were found."""
        self.violations += [f"{self.kind} {where}: {sentence}" for sentence in sentences]

    def __str__(self) -> str:
        notes = "".join(f", {count} {what}" for what, count in sorted(self.notes.items()))
        return (
            f"{self.kind}: {self.points} points, {self.finished} taken to the end{notes}; "
            f"at most {self.most} rows embedded again; {len(self.violations)} violations"
        )
