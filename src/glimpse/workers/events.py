"""What goes into a pool of workers and what comes out: frozen values, and the state of an item on its way."""

from dataclasses import dataclass

from glimpse.values import Failure, Item, Pixels, Region, Sampling


@dataclass(frozen=True, slots=True)
class Task:
    """An item to decode.

    Attributes:
        known: the digest stored for it: content that has it is not decoded.
        time: the one frame of a film that is wanted.
        sampling: which frames of a film; None: as the recipe says.
    """

    item: Item
    known: bytes = b""
    time: float | None = None
    sampling: Sampling | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture, or a frame of a film: uint8 (height, width, 3), and the digest of the file that it is of."""

    item: Item
    digest: bytes
    time: float | None
    pixels: Pixels


@dataclass(frozen=True, slots=True)
class Ending:
    """How an item ended, after its frames: `same` where the content is what was known, else with or without a failure.

    The item has the size and time of what was read. `reading` and `decoding` are seconds.
    """

    item: Item
    digest: bytes = b""
    failure: Failure | None = None
    same: bool = False
    duration: float | None = None
    reading: float = 0.0
    decoding: float = 0.0


Event = Frame | Ending | None
"""None: nothing has happened for a while."""


@dataclass(slots=True)
class Job:
    """A task on its way: its number, and what is known of it so far."""

    number: int
    task: Task
    region: Region | None = None
    data: bytes = b""
    alone: bool = False  # it is tried for the second time
    reading: float = 0.0
    duration: float | None = None
    picture: Frame | None = None  # kept until it is known how the item ended
