"""A file → how it ended, by the code that workers run (`workers.child.Worker._do`), in this process.

Only talking is left out: nobody is told, and every square of memory is free at once. Which of the recipes a file gets, and whether one frame
or a film's samples, is of its bytes, so that it is the same each time.
"""

import mmap
import time
import traceback
import warnings
import zlib
from dataclasses import dataclass
from typing import Any

from PIL import Image

from glimpse.decoders import image
from glimpse.errors import BadItem
from glimpse.values import FAILURE_CODES, PixelRules, Sampling
from glimpse.workers.child import Worker
from glimpse.workers.recipe import Recipe

RECIPES = (
    Recipe(32, PixelRules(32, 32)),
    Recipe(32, PixelRules(32, 32, resize_mode="longest"), sampling=Sampling("every", 0.2)),
    Recipe(32, PixelRules(32, 36), parity=True, sampling=Sampling("keyframes")),
    Recipe(48, None, sampling=Sampling("every", 0.01)),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a file ended: a code of FAILURE_CODES, "" for pixels; `escaped`: what came out beside that, which nothing may.

    `caught` is what `Worker._do` had to catch because it was no BadItem: it is "corrupt" for the program, and worth a look.
    """

    code: str
    seconds: float
    escaped: str = ""
    caught: str = ""


def prepare() -> None:
    """What `workers.child.main` does first."""
    Image.MAX_IMAGE_PIXELS = image.MAX_PIXELS
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    image.formats()


class Here(Worker):
    """A worker that nobody listens to."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(None, recipe, mmap.mmap(-1, recipe.slots * recipe.slot_bytes))  # type: ignore[arg-type]
        self.caught, self.ending = "", {}

    def outcome(self, data: bytes, moment: float | None = None) -> Outcome:
        """Do to some bytes what workers do."""
        began = time.perf_counter()
        self.caught, self.ending = "", {}
        self._free = list(range(self._recipe.slots))
        task = {"id": 0, "known": "", "time": moment, "inline": True, "data": data, "path": "", "offset": 0, "size": -1}
        escaped = ""
        try:
            self._do(task)
        except BaseException as error:  # noqa: BLE001  (that is the question)
            escaped = described(error)
        code = self.ending.get("code", "")
        escaped = escaped or _wrong(self.ending)
        return Outcome(code, time.perf_counter() - began, escaped, self.caught)

    def _say(self, **message: Any) -> None:
        if "slot" in message:
            self._free.append(message["slot"])
        elif "ask" in message:
            self._answers.append(True)
        elif "done" in message:
            self.ending = message
        self._spoke = time.monotonic()

    def _picture_or_film(self, task: dict[str, Any], content: Any) -> dict[str, Any]:
        try:
            return super()._picture_or_film(task, content)
        except (BadItem, MemoryError):
            raise
        except Exception as error:
            self.caught = described(error)
            raise


def _wrong(ending: dict[str, Any]) -> str:
    """What is wrong with an ending, if anything is."""
    if not ending:
        return "no ending"
    if "code" not in ending:
        return ""
    known = FAILURE_CODES.get(ending["code"])
    return "" if known and ending["message"].startswith(known) else f"unknown: {ending['code']}: {ending['message']}"


def described(error: BaseException) -> str:
    """What was raised, and where, in one line."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}" for frame in frames[-3:]]
    return f"{type(error).__name__} at {' > '.join(places)}"


class Target:
    """All recipes, ready."""

    def __init__(self) -> None:
        prepare()
        self._workers = [Here(recipe) for recipe in RECIPES]

    def __call__(self, data: bytes) -> Outcome:
        choice = zlib.crc32(data)
        moment = (choice >> 8) % 16 / 10 if (choice >> 4) % 8 == 0 else None  # of a film: one frame
        return self._workers[choice % len(self._workers)].outcome(data, moment)
