"""What flows through glimpse: small frozen values, and nothing that reads, computes or prints.

`Item` (where a picture or a film is) → its model-ready pixels → rows → `Hit`; `ModelCard` says what a model is, `Selection` and
`Sampling` what is wanted, `Failure`, `Progress` and `Report` how a run went.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]  # (n, dim), every row of unit length (or NaN where asked for)
Pixels = NDArray[np.uint8]  # (n, size, size, 3), RGB
Ids = NDArray[np.int64]  # (n, tokens)

Activation = Literal["gelu", "gelu_tanh", "quick_gelu"]
ResizeMode = Literal["shortest", "longest", "squash"]
Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]
Fidelity = Literal["fast", "exact"]
Least = Callable[[int, int], tuple[int, int]]
"""The width and height of a picture → the least that it has to be decoded to for what is made of it; see `pixels.least`."""

FAILURE_CODES: Mapping[str, str] = {
    "unsupported-format": "not a picture or film in a format that glimpse opens",
    "missing-extra": "it is footage, and PyAV is not installed: pip install 'glimpse-search[video]'",
    "empty": "the file is empty",
    "truncated": "it ends before all of it is there; of a film, what comes before the break is kept",
    "corrupt": "it is damaged; of a film, the frames that could be decoded are kept",
    "bomb": "it has more pixels than the ceiling allows",
    "too-small": "its shorter side has fewer pixels than were asked for",
    "timeout": "reading or decoding it took longer than the limits allow",
    "memory": "decoding it takes more memory than the limit allows, or than there is",
    "crashed": "the decoder died on it, twice",
    "unreadable": "it cannot be read (permissions, a failing disk, or a server that refuses)",
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
class TextRules:
    """How a text becomes ids, and where its vector is read, as the checkpoint's own config says.

    Attributes:
        clean: what is done to a text first: nothing; "web", entities of web pages; "canonicalize", these, then lower case
            without punctuation, as open_clip; "siglip", the last two as transformers; or "lower" case alone.
        padding: what may stand after a text: "free", anything, for nobody looks there; "full", the padding that the model
            was trained with, up to its context; "none", so that only texts of one length run together.
        pool: the tower's result is read at the "end" of the text, or at the "last" place of all.
        drop_end: the end of a text is replaced by padding (open_clip's `strip_sep_token`).
        tokenizer: the repository of the tokenizer where CLIP's own will not do, else "".
    """

    clean: Literal["", "web", "canonicalize", "siglip", "lower"] = ""
    padding: Literal["free", "full", "none"] = "free"
    pool: Literal["end", "last"] = "end"
    drop_end: bool = False
    tokenizer: str = ""


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
        logit_scale: what cosines are multiplied by before a softmax or sigmoid; already exponentiated.
        causal: whether a token of a text sees only those before it.
        logit_bias: what is added before the sigmoid; None where the model was trained with a softmax.
        words: how a text becomes ids.
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
    logit_bias: float | None = None
    words: TextRules = TextRules()

    @property
    def patches(self) -> int:
        """How many whole patches a picture has."""
        return (self.pixels.size // self.patch) ** 2

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and for fingerprints."""
        return asdict(self)


Origin = tuple[str | int, ...]
"""Where an item's bytes are: the name of its source, and what the verbs of that source (`sources/<name>.py`) take."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing a source offers: a picture or a film.

    Attributes:
        key: its full, stable name.
        size: bytes; with `mtime_ns` it tells whether the item changed since it was indexed. -1 where nobody knows.
        mtime_ns: when it changed last, or any number that is another one when the content is.
        origin: where its bytes are.
        metadata: what else the source says of it: plain values of JSON by name.
    """

    key: str
    size: int
    mtime_ns: int
    origin: Origin
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Region:
    """Bytes of a local file: all of it, or `size` from `offset` on."""

    path: str
    offset: int = 0
    size: int = -1


@dataclass(frozen=True, slots=True)
class Named:
    """The bytes of a picture under a name of its own, read when they are needed."""

    key: str
    read: Callable[[], bytes] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which of the things in a place are meant.

    Attributes:
        include: patterns as of .gitignore; where there are any, only files that match one.
        exclude: patterns as of .gitignore; files and folders that match one are left out.
        hidden: whether files and folders whose names begin with a dot are meant too.
        column: of tables: the column with paths, URLs or bytes. None: found by its name.
        key_column: of tables with bytes: the column with their names. None: the row's number.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    hidden: bool = False
    column: str | None = None
    key_column: str | None = None


@dataclass(frozen=True, slots=True)
class Sampling:
    """Which frames of a film are looked at.

    Attributes:
        mode: "shots": where the picture changes, and at least one every `seconds`; "keyframes": those that the encoder
            stored whole; "every": the one shown at each multiple of `seconds`. Blank frames, and frames like the one before, are skipped.
        seconds: see `mode`.
    """

    mode: Literal["shots", "keyframes", "every"] = "shots"
    seconds: float = 10.0

    @property
    def name(self) -> str:
        """What a collection keeps of it."""
        return self.mode if self.mode == "keyframes" else f"{self.mode} {self.seconds!r}"

    @classmethod
    def from_name(cls, name: str) -> "Sampling":
        """What `name` was made of."""
        mode, _, seconds = name.partition(" ")
        return cls(mode, float(seconds)) if seconds else cls(mode)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Failure:
    """One item that could not be used, and why: `code` is one of FAILURE_CODES."""

    key: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Embedding:
    """What a row is of: an item, with the digest of its content and, of a film's frame, its time in seconds.

    `sampling` says how the frames of a film were chosen, and is empty for pictures.
    """

    item: Item
    digest: bytes
    time: float | None = None
    sampling: str = ""


@dataclass(frozen=True, slots=True)
class Moment:
    """A part of a film that answers a query: seconds, the key of its best frame, and that frame's cosine."""

    start: float
    end: float
    key: str
    score: float


@dataclass(frozen=True, slots=True)
class Hit:
    """One answer.

    Attributes:
        key: of the picture, or of the best frame of a film: the film's key and the time, as in `film.mp4#t=12.480`.
        score: its cosine to the query.
        item: the key of the picture or film itself.
        time: of the frame in its film, in seconds; None for a picture.
        metadata: what its source said of it.
        moments: the parts of the film that answer the query, best first, where they were asked for.
    """

    key: str
    score: float
    item: str = ""
    time: float | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    moments: tuple[Moment, ...] = ()


def frame_key(item: str, time: float | None) -> str:
    """The key of a frame: its film's and a media fragment (https://www.w3.org/TR/media-frags); a picture's is its own."""
    return item if time is None else f"{item}#t={time:.3f}"


def item_and_time(key: str) -> tuple[str, float | None]:
    """What `frame_key` made a key of."""
    item, mark, time = key.rpartition("#t=")
    is_frame = mark and re.fullmatch(r"-?\d+\.\d{3}", time)
    return (item, float(time)) if is_frame else (key, None)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which items a search is about.

    Attributes:
        prefix: what their keys begin with, such as a folder.
        kind: "picture" or "film"; empty for both.
        after, before: when their files were last changed, in seconds since 1970: from, and up to but without.
        metadata: what their source says of them: name → value (a text, a number, or a truth).
    """

    prefix: str = ""
    kind: Literal["", "picture", "film"] = ""
    after: float | None = None
    before: float | None = None
    metadata: Mapping[str, str | float | bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SearchFacts:
    """How a large collection is searched.

    Attributes:
        vectors: how many are searched.
        candidates: how many of them are compared for ten hits; 0: all of them.
        recall: share of the ten best that are found, at each number of hits that was measured; empty where nothing was.
        asked: "captions", a list of texts that comes with glimpse, or "queries", what was asked of this collection lately.
        probes: how many of these it was measured with.
        measured: when, an ISO date.
        whole: whether the files that it is searched with are of this moment and undamaged; the next search mends them.
    """

    vectors: int
    candidates: int
    recall: Mapping[int, float]
    asked: str
    probes: int
    measured: str
    whole: bool = True

    def __str__(self) -> str:
        if not self.whole:
            return "the files beside the collection are not up to date: the next search sees to it"
        if not self.candidates:
            return f"exact, of {self.vectors} vectors"
        found = ", ".join(f"recall@{depth} {share:.4f}" for depth, share in self.recall.items())
        asked = f"{self.probes} {'captions' if self.asked == 'captions' else 'texts that were asked'}"
        return (
            f"{found}, with {asked}; {self.candidates} candidates of {self.vectors} vectors, measured {self.measured}"
        )


STAGES = ("reading", "decoding", "encoding", "storing")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come; handed to the caller's `progress` now and then.

    Attributes:
        done, total: items; `total` is None while they are still being listed, and `done` says how many were found.
        indexed: items embedded; `frames` how many pictures and frames that were.
        seconds: since the run began.
        bottleneck: the stage that the others wait for at present, one of STAGES; empty where it is not known.
    """

    done: int
    total: int | None
    indexed: int
    failed: int
    seconds: float
    frames: int = 0
    bottleneck: str = ""

    @property
    def rate(self) -> float:
        """Embedded pictures and frames per second since the run began."""
        return max(self.frames, self.indexed) / self.seconds if self.seconds else 0.0

    @property
    def seconds_left(self) -> float | None:
        """An estimate, or None before the first item is done."""
        return self.seconds / self.done * (self.total - self.done) if self.done and self.total is not None else None

    def __str__(self) -> str:
        if self.total is None:
            return f"{self.done} found"
        left = "" if self.seconds_left is None else f", {self.seconds_left:.0f} s left"
        failed = f", {self.failed} failed" if self.failed else ""
        slow = f", waiting for {self.bottleneck}" if self.bottleneck else ""
        return f"{self.done}/{self.total} ({self.rate:.1f} images/s{slow}{left}{failed})"


@dataclass(frozen=True, slots=True)
class Report:
    """How a run ended. Every input is in exactly one of `indexed`, `unchanged` and `failures`.

    Attributes:
        indexed: embedded and stored by this run.
        unchanged: already there; `moved` of them under another name until now.
        failures: named, with stable codes, old ones that were not tried again included.
        removed: items taken out because their files are gone.
        interrupted: the run was stopped; what it had done is kept.
        frames: how many pictures and frames of films were embedded.
        stages: by stage (STAGES) the seconds it was at work, added up over the workers.
        bottleneck: the stage that the others waited for; empty where nothing was embedded.
    """

    indexed: int
    unchanged: int
    moved: int
    removed: int
    failures: Sequence[Failure]
    seconds: float
    interrupted: bool = False
    frames: int = 0
    stages: Mapping[str, float] = field(default_factory=dict)
    bottleneck: str = ""

    @property
    def total(self) -> int:
        """How many inputs the run saw to the end."""
        return self.indexed + self.unchanged + len(self.failures)

    def profile(self) -> str:
        """The stages in words."""
        parts = [f"{stage} {seconds:.1f} s" for stage, seconds in self.stages.items()]
        slow = f"; the others waited for {self.bottleneck}" if self.bottleneck else ""
        rate = f"{self.frames / self.seconds:.1f} images/s; " if self.frames and self.seconds else ""
        return f"{rate}{', '.join(parts)}{slow}"

    def __str__(self) -> str:
        frames = f" ({self.frames} frames)" if self.frames > self.indexed else ""
        parts = [f"{self.indexed} indexed{frames}", f"{self.unchanged} unchanged"]
        parts += [f"{self.moved} of them moved"] if self.moved else []
        parts += [f"{self.removed} removed"] if self.removed else []
        parts += [f"{len(self.failures)} failed"]
        stopped = "stopped; " if self.interrupted else ""
        return f"{stopped}{', '.join(parts)} in {self.seconds:.1f} s"
