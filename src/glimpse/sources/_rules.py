"""Which names below a place are meant: what comes after the literal part of a glob, .gitignore patterns, hidden names.

Knows names only: neither files nor servers. A name is the tuple of its parts.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from itertools import takewhile
from typing import TYPE_CHECKING

from glimpse.errors import UsageError
from glimpse.values import Selection

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

EVERYTHING = Selection()  # but what is hidden
_MAGIC = re.compile(r"[*?[]")


@dataclass(frozen=True, slots=True)
class Rules:
    """A selection, and the parts of a glob that are no literal names (none: everything below matches)."""

    selection: Selection = EVERYTHING
    segments: tuple[str, ...] = ()

    def enters(self, parts: Sequence[str]) -> bool:
        """Whether something below this folder may be meant, where the folders above it are entered."""
        literal = takewhile(lambda segment: segment != "**", self.segments)
        if not all(fnmatchcase(part, segment) for part, segment in zip(parts, literal, strict=False)):
            return False
        return self._shows(parts[-1]) and not _matches(self.selection.exclude, "/".join(parts) + "/")

    def takes(self, parts: Sequence[str]) -> bool:
        """Whether this file is meant, where the folders above it are entered."""
        if not (self._shows(parts[-1]) and matches(parts, self.segments)):
            return False
        name = "/".join(parts)
        include = self.selection.include
        return not _matches(self.selection.exclude, name) and (not include or _matches(include, name))

    def allows(self, parts: Sequence[str]) -> bool:
        """Whether this file is meant, the folders above it looked at too."""
        return all(self.enters(parts[:end]) for end in range(1, len(parts))) and self.takes(parts)

    def _shows(self, part: str) -> bool:
        """Hidden names are shown where they are asked for, or where the glob names them by their dot."""
        if self.selection.hidden or not part.startswith("."):
            return True
        return any(segment.startswith(".") and fnmatchcase(part, segment) for segment in self.segments)


def matches(parts: Sequence[str], segments: Sequence[str]) -> bool:
    """Whether a name, or a folder above it, fits a glob: `**` stands for folders, as many as there are."""
    if not segments:
        return True
    if segments[0] == "**":
        return any(matches(parts[start:], segments[1:]) for start in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], segments[0]) and matches(parts[1:], segments[1:])


def split(place: str, separator: str, is_there: Callable[[str], bool]) -> tuple[str, tuple[str, ...]]:
    """A place → its literal part, and the parts from the first with *, ? or [ on that is not literally there."""
    parts = place.split(separator)
    for end, part in enumerate(parts):
        if _MAGIC.search(part) and not is_there(separator.join(parts[: end + 1])):
            return separator.join(parts[:end]), tuple(filter(None, parts[end:]))
    return place, ()


def _matches(patterns: tuple[str, ...], name: str) -> bool:
    return bool(patterns) and bool(_spec(patterns).match_file(name))


@lru_cache(maxsize=64)
def _spec(patterns: tuple[str, ...]) -> "GitIgnoreSpec":
    from pathspec import GitIgnoreSpec  # noqa: PLC0415  (slow to import, and seldom needed)

    try:
        return GitIgnoreSpec.from_lines(patterns)
    except ValueError as error:
        raise UsageError(f"{' '.join(patterns)}: one of these patterns is none that .gitignore knows") from error
