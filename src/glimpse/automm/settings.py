"""AutoGluon's `hyperparameters` → what a predictor needs to know, checked when the predictor is made. Knows no model."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Literal

from glimpse import hub, zoo
from glimpse.automm.notices import warn
from glimpse.automm.presets import Problem, checkpoint_of
from glimpse.errors import UsageError

Missing = Literal["raise", "zero", "skip"]
Hyperparameters = Mapping[str, Any] | str | Sequence[str]


@dataclass(frozen=True, slots=True)
class Settings:
    """What the keys come to.

    Attributes:
        checkpoint: a name that `glimpse.load` knows.
        batch: how many pictures are decoded and embedded together; None is glimpse's own choice.
        gpus: how many were asked for; -1 is all there are.
        precision: "auto", "float32" or "bfloat16".
        missing: what becomes of a picture that cannot be used.
        parity: pictures as AutoGluon treats them: no EXIF orientation, no transparency, no colour profiles.
    """

    checkpoint: str
    batch: int | None = None
    gpus: int = -1
    precision: str = "auto"
    missing: Missing = "raise"
    parity: bool = False

    def as_hyperparameters(self) -> dict[str, Any]:
        """The settings by AutoGluon's keys, as `read` takes them."""
        values = {key: getattr(self, field) for key, (field, _) in _KEYS.items()}
        return {key: value for key, value in values.items() if value is not None}


def read(hyperparameters: Hyperparameters | None, problem: Problem, preset: str | None) -> Settings:
    """Take AutoGluon's settings: a dict, "key=value key=value", or a list of "key=value".

    Raises:
        UsageError: an unknown key, with the near ones; or a value that cannot be right.
    """
    settings = Settings(model_name(checkpoint_of(problem, preset)))
    given = _pairs(hyperparameters)
    for key, value in given.items():
        if key in _KEYS:
            field, check = _KEYS[key]
            settings = replace(settings, **{field: check(key, value)})
        elif key == "model.names":
            _only_clip(value)
        elif key not in _WITHOUT_EFFECT:
            raise UsageError(_unknown(str(key)))
    if problem.stands_in_for and not {"model.clip.checkpoint_name", "model.names"} & given.keys():
        warn(
            f"{problem.name}: AutoGluon's default is {problem.stands_in_for}, glimpse takes the CLIP {settings.checkpoint};"
            " name one by hyperparameters={'model.clip.checkpoint_name': …} to choose"
        )
    return settings


def model_name(checkpoint: str | os.PathLike[str]) -> str:
    """AutoGluon's way to name a checkpoint, "org/name" of the hub or a folder, in ours; ours work as well."""
    name = os.fspath(checkpoint)
    is_folder = os.path.isdir(os.path.expanduser(name))  # noqa: PTH111, PTH112  (Path's raise for no such user)
    if is_folder or name in zoo.names() or not hub.looks_like_repository(name):
        return name
    return f"{hub.PREFIX}{name}"


def _pairs(hyperparameters: Hyperparameters | None) -> dict[str, Any]:
    if isinstance(hyperparameters, Mapping):
        return dict(hyperparameters)
    if not isinstance(hyperparameters, str | Sequence | None):
        raise UsageError(f"hyperparameters are a {type(hyperparameters).__name__}: give a dict, or 'key=value' texts")
    words = hyperparameters.split() if isinstance(hyperparameters, str) else list(hyperparameters or ())
    pairs = [str(word).partition("=") for word in words]
    if not all(equals for _, equals, _ in pairs):
        raise UsageError(f"hyperparameters {hyperparameters!r} cannot be read: write 'key=value', or give a dict")
    return {key: value for key, _, value in pairs}


# Values -----------------------------------------------------------------------------------------------------------------


def _checkpoint(key: str, value: Any) -> str:
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise UsageError(f"{key} is {value!r}: give a name or a folder")
    return model_name(value)


def _positive(key: str, value: Any) -> int:
    number = _integer(key, value)
    if number < 1:
        raise UsageError(f"{key} is {value!r}: give a number from 1")
    return number


def _gpus(key: str, value: Any) -> int:
    number = _integer(key, value)
    if number > 0:
        warn(f"{key} is {number}, but glimpse has no GPU runtime yet: the processor computes")
    return number


def _integer(key: str, value: Any) -> int:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not number.is_integer():
        raise UsageError(f"{key} is {value!r}: give a whole number")
    return int(number)


# Lightning's names. Mixed half precision is what AutoGluon asks for everywhere and computes on GPUs: the fastest native one.
_PRECISIONS = {"32": "float32", "16": "auto", "bf16": "bfloat16", "auto": "auto"}
_PRECISIONS |= {"float32": "float32", "bfloat16": "bfloat16"}


def _precision(key: str, value: Any) -> str:
    asked = str(value).removesuffix("-mixed").removesuffix("-true")
    if asked not in _PRECISIONS:
        raise UsageError(f"{key} is {value!r}: choose 32, '16-mixed', 'bf16-mixed' or 'auto'")
    return _PRECISIONS[asked]


def _missing(key: str, value: Any) -> str:
    if value not in ("raise", "zero", "skip"):
        raise UsageError(f"{key} is {value!r}: choose 'raise', 'zero' or 'skip'")
    return str(value)


def _yes_or_no(key: str, value: Any) -> bool:
    known = {"true": True, "false": False}
    if str(value).lower() not in known:
        raise UsageError(f"{key} is {value!r}: give True or False")
    return known[str(value).lower()]


def _only_clip(value: Any) -> None:
    names = [value] if isinstance(value, str) else list(value)
    if [name.strip("[]'\" ") for name in names] != ["clip"]:
        raise UsageError(f"model.names is {value!r}: glimpse has ['clip'] only; for other models use AutoGluon")


# Keys -------------------------------------------------------------------------------------------------------------------

_KEYS: Mapping[str, tuple[str, Callable[[str, Any], Any]]] = {
    "model.clip.checkpoint_name": ("checkpoint", _checkpoint),
    "env.per_gpu_batch_size": ("batch", _positive),
    "env.num_gpus": ("gpus", _gpus),
    "env.precision": ("precision", _precision),
    "data.image.missing_value_strategy": ("missing", _missing),
    "glimpse.parity": ("parity", _yes_or_no),
}

# How AutoGluon sets up its own machinery: here there is none to set up, and no result depends on it.
_WITHOUT_EFFECT = (
    "env.accelerator",
    "env.batch_size",
    "env.inference_batch_size_ratio",
    "env.num_workers",
    "env.num_workers_inference",
    "env.strategy",
)


def _unknown(key: str) -> str:
    known = [*_KEYS, "model.names", *_WITHOUT_EFFECT]
    ends = {name.rpartition(".")[2]: name for name in known}  # a right name under a wrong head is near, too
    near = get_close_matches(key, known, n=3) or [ends[end] for end in get_close_matches(key.rpartition(".")[2], ends)]
    hint = f"did you mean {' or '.join(near)}?" if near else f"the known ones are {', '.join(known)}"
    return f"there is no hyperparameter {key!r}: {hint}"
