"""What a disk may hold after the power is cut: only what was synchronised is certain, of the rest nobody knows.

A history is a list of events in one folder. What was written since the last `Sync` of a file may be there or not, write by write,
and even sector by sector; files that were made or removed since the last `Sync` of the folder, likewise, but in their order.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

SECTOR = 512
FOLDER = 0  # its number among the files


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes at a place of a file."""

    file: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Cut:
    """A file gets another size."""

    file: int
    size: int


@dataclass(frozen=True, slots=True)
class Name:
    """A name in the folder leads to a file, or to none any more."""

    name: str
    file: int | None


@dataclass(frozen=True, slots=True)
class Sync:
    """All that was done to a file, or to FOLDER, before this is on the disk."""

    file: int


@dataclass(frozen=True, slots=True)
class Said:
    """A line of the witness; it is no part of the disk."""

    text: str


Event = Write | Cut | Name | Sync | Said
Fate = Literal["nothing", "everything", "some", "torn"]
FATES: tuple[Fate, ...] = ("nothing", "everything", "some", "torn")
"""What becomes of what was not synchronised: "some" keeps whole writes, "torn" sectors."""


def held(files: Mapping[str, bytes]) -> list[Event]:
    """The history of a folder that has been at rest."""
    every = list(enumerate(files.items(), FOLDER + 1))
    events: list[Event] = [Write(number, 0, data) for number, (_, data) in every]
    events += [Name(name, number) for number, (name, _) in every]
    return events + [Sync(number) for number in (FOLDER, *(number for number, _ in every))]


def surviving(history: Iterable[Event], fate: Fate, rng: random.Random) -> dict[str, bytes]:
    """A folder that may be found afterwards: name → bytes."""
    certain: dict[int, list[Event]] = defaultdict(list)
    loose: dict[int, list[Event]] = defaultdict(list)
    for event in history:
        if isinstance(event, Sync):
            certain[event.file] += loose.pop(event.file, [])
        elif isinstance(event, Name):
            loose[FOLDER].append(event)
        elif not isinstance(event, Said):
            loose[event.file].append(event)
    names = certain[FOLDER] + _BEGINNINGS[fate](loose[FOLDER], rng)
    numbers = {event.name: event.file for event in names if isinstance(event, Name)}
    return {
        name: _content(certain[number] + _PARTS[fate](loose[number], rng))
        for name, number in numbers.items()
        if number is not None
    }


def _content(events: Iterable[Event]) -> bytes:
    content = bytearray()
    for event in events:
        if isinstance(event, Write):
            content.extend(bytes(max(0, event.offset - len(content))))
            content[event.offset : event.offset + len(event.data)] = event.data
        elif isinstance(event, Cut):
            content.extend(bytes(max(0, event.size - len(content))))
            del content[event.size :]
    return bytes(content)


Choice = Callable[[Sequence[Event], random.Random], list[Event]]


def _none(_events: Sequence[Event], _rng: random.Random) -> list[Event]:
    return []


def _all(events: Sequence[Event], _rng: random.Random) -> list[Event]:
    return list(events)


def _some(events: Sequence[Event], rng: random.Random) -> list[Event]:
    return [event for event in events if rng.random() < 0.5]


def _torn(events: Sequence[Event], rng: random.Random) -> list[Event]:
    return _some([part for event in events for part in _sectors(event)], rng)


def _sectors(event: Event) -> Iterable[Event]:
    """The parts of a write that a disk does in one go."""
    if not isinstance(event, Write):
        return [event]
    end = event.offset + len(event.data)
    starts = [event.offset, *range((event.offset // SECTOR + 1) * SECTOR, end, SECTOR)]
    pieces = zip(starts, [*starts[1:], end], strict=True)
    return [Write(event.file, start, event.data[start - event.offset : stop - event.offset]) for start, stop in pieces]


def _beginning(events: Sequence[Event], rng: random.Random) -> list[Event]:
    """File systems keep the order of what is done to a folder."""
    return list(events[: rng.randint(0, len(events))])


_PARTS: Mapping[Fate, Choice] = {"nothing": _none, "everything": _all, "some": _some, "torn": _torn}
_BEGINNINGS: Mapping[Fate, Choice] = {"nothing": _none, "everything": _all, "some": _beginning, "torn": _beginning}
