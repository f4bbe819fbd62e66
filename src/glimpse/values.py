"""What flows through glimpse: small frozen values, and nothing that reads, computes or prints.

`Item` (where a picture is) → `Frame` (its model-ready pixels) → rows → `Hit`; `ModelCard` says what a model is,
`Failure`, `Progress` and `Report` say how a run went.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]  # (n, dim), every row of unit length (or NaN where asked for)
Pixels = NDArray[np.uint8]  # (n, size, size, 3), RGB
Ids = NDArray[np.int64]  # (n, tokens)

Activation = Literal["gelu", "quick_gelu"]
ResizeMode = Literal["shortest", "longest", "squash"]
Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]

FAILURE_CODES: Mapping[str, str] = {
    "unsupported-format": "not a picture in a format that glimpse opens",
    "empty": "the file is empty",
    "truncated": "the picture ends before all of it is there",
    "corrupt": "the picture is damaged",
    "bomb": "the picture has more pixels than the ceiling allows",
    "memory": "there was not enough memory to decode it",
    "unreadable": "the file cannot be read (permissions, or a failing disk)",
    "vanished": "there is no such file, or it went away before it could be read",
}
"""Why an item failed: stable code → what it means."""


@dataclass(frozen=True, slots=True)
class TowerShape:
    """The sizes of one transformer tower."""

    width: int
    layers: int
    heads: int
    mlp: int
    activation: Activation
    eps: float = 1e-5


@dataclass(frozen=True, slots=True)
class PixelRules:
    """How a picture becomes the model's input, as the checkpoint's own config says.

    Attributes:
        size: side of the square the image tower takes.
        resize_to: what the resize aims at before the crop (nearly always `size`).
        resize_mode: "shortest" side and centre crop, "longest" side and padding, or "squash".
        convert: whether the reference converts to RGB before it resizes (transformers, AutoGluon) or after
            (open_clip); it matters only under `parity`.
    """

    size: int
    resize_to: int
    resize_mode: ResizeMode = "shortest"
    interpolation: Interpolation = "bicubic"
    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)
    convert: Literal["first", "last"] = "first"


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a checkpoint is: enough to build its towers, without its weights.

    Attributes:
        name: what the user called it.
        family: the file in `models/` that has its towers.
        dim: width of the vectors.
        patch: side of an image patch in pixels.
        context: most tokens a text may have, the first and last included.
        end_id: a text is pooled at the first token with this id, or at the largest id where it is None
            (OpenAI's way, and open_clip's).
        causal: whether the text tower may be cut to the longest text without changing anything.
        logit_scale: what cosines are multiplied by before a softmax; already exponentiated.
    """

    name: str
    family: str
    dim: int
    patch: int
    image: TowerShape
    text: TowerShape
    pixels: PixelRules
    context: int
    vocabulary: int
    end_id: int | None
    logit_scale: float
    causal: bool = True

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and for fingerprints."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Item:
    """One thing a source offers: its full, stable name, what tells whether it changed, and how to read it.

    `read()` gives all bytes, `read(n)` the first n.
    """

    key: str
    size: int
    mtime_ns: int
    read: Callable[..., bytes] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Failure:
    """One item that could not be used, and why: `code` is one of FAILURE_CODES."""

    key: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Hit:
    """One answer: the item's key and its cosine to the query."""

    key: str
    score: float


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come; handed to the caller's `progress` after every batch."""

    done: int
    total: int
    indexed: int
    failed: int
    seconds: float

    @property
    def rate(self) -> float:
        """Embedded pictures per second since the run began."""
        return self.indexed / self.seconds if self.seconds else 0.0

    @property
    def seconds_left(self) -> float | None:
        """An estimate, or None before the first item is done."""
        return self.seconds / self.done * (self.total - self.done) if self.done else None

    def __str__(self) -> str:
        left = "" if self.seconds_left is None else f", {self.seconds_left:.0f} s left"
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{self.done}/{self.total} ({self.rate:.1f} images/s{left}{failed})"


@dataclass(frozen=True, slots=True)
class Report:
    """How a run ended. Every input is in exactly one of `indexed`, `unchanged` and `failures`.

    Attributes:
        indexed: embedded and stored by this run.
        unchanged: already there; `moved` of them under another name until now.
        failures: named, with stable codes, old ones that were not tried again included.
        removed: items taken out because their files are gone.
        interrupted: the run was stopped; what it had done is kept.
    """

    indexed: int
    unchanged: int
    moved: int
    removed: int
    failures: Sequence[Failure]
    seconds: float
    interrupted: bool = False

    @property
    def total(self) -> int:
        """How many inputs the run saw to the end."""
        return self.indexed + self.unchanged + len(self.failures)

    def __str__(self) -> str:
        parts = [f"{self.indexed} indexed", f"{self.unchanged} unchanged"]
        parts += [f"{self.moved} of them moved"] if self.moved else []
        parts += [f"{self.removed} removed"] if self.removed else []
        parts += [f"{len(self.failures)} failed"]
        stopped = "stopped; " if self.interrupted else ""
        return f"{stopped}{', '.join(parts)} in {self.seconds:.1f} s"
