"""What runs in a worker: one item after the other, bytes → pictures → model-ready uint8 in memory shared with the program.

Started as `python -m glimpse.workers.child FD_OF_A_SOCKET FD_OF_THE_MEMORY`. It is told what to make (`Recipe`), then an item at a
time; it answers with the places of pixels in the shared memory, and with how the item ended. Knows no model and no collection.
"""

import json
import mmap
import os
import sys
import time
import warnings
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from multiprocessing.connection import Connection
from typing import Any

from PIL import Image

from glimpse import pixels
from glimpse.decoders import image
from glimpse.decoders.footage import containers
from glimpse.errors import BadItem
from glimpse.values import FAILURE_CODES, Pixels, Sampling
from glimpse.workers.content import Content
from glimpse.workers.limits import PIXELS_PER_SECOND, allow_cpu, confine
from glimpse.workers.recipe import Recipe

LARGE = 1_000_000  # bytes; what is larger is looked at before it is read whole
SIGN_OF_LIFE = 1.0  # seconds between two

Message = dict[str, Any]


def main() -> None:
    """Work until the program closes the socket."""
    connection = Connection(int(sys.argv[1]))
    recipe = Recipe.from_json(connection.recv_bytes())
    Image.MAX_IMAGE_PIXELS = image.MAX_PIXELS
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    image.formats()  # import the decoders before files cannot be opened
    memory = mmap.mmap(int(sys.argv[2]), recipe.slots * recipe.slot_bytes)
    confine(recipe.limits)
    try:
        Worker(connection, recipe, memory).run()
    except _NobodyThere:
        os._exit(0)


class _NobodyThere(Exception):
    """The program has what it wanted, or is gone."""


class Worker:
    """The state of a worker: what it was asked to do, and which squares of memory it may write to."""

    def __init__(self, connection: Connection, recipe: Recipe, memory: mmap.mmap) -> None:
        self._connection, self._recipe, self._memory = connection, recipe, memory
        self._free = list(range(recipe.slots))
        self._tasks: deque[Message] = deque()
        self._answers: list[bool] = []
        self._spoke = 0.0
        fast = pixels.least(recipe.rules) if recipe.rules else pixels.least_of_thumbnail(recipe.size)
        self._least = None if recipe.rules and recipe.fidelity == "exact" else fast

    def run(self) -> None:
        """Take one task after the other, for ever."""
        self._say(ready=True)
        while True:
            while not self._tasks:
                self._listen()
            self._do(self._tasks.popleft())

    # Talking ----------------------------------------------------------------------------------------------------------

    def _say(self, **message: Any) -> None:
        with _to_somebody():
            self._connection.send_bytes(json.dumps(message).encode())
        self._spoke = time.monotonic()

    def _listen(self) -> None:
        """Wait for one message and remember what it says."""
        message: Message = json.loads(self._receive())
        if "free" in message:
            self._free.append(message["free"])
        elif "wanted" in message:
            self._answers.append(message["wanted"])
        else:
            if message["inline"]:
                message["data"] = self._receive()
            self._tasks.append(message)

    def _receive(self) -> bytes:
        with _to_somebody():
            return self._connection.recv_bytes()

    def _alive(self) -> None:
        """Say that there is progress, now and then, and have the processor's time counted anew."""
        if time.monotonic() - self._spoke > SIGN_OF_LIFE:
            allow_cpu(self._recipe.limits.cpu)
            self._say(alive=True)

    # Working ----------------------------------------------------------------------------------------------------------

    def _do(self, task: Message) -> None:
        """Work on one item, and say how it ended."""
        allow_cpu(self._recipe.limits.cpu)
        began = time.perf_counter()
        content = Content(task)
        ending: Message = {}
        try:
            with content.opened():
                ending = self._picture_or_film(task, content)
        except BadItem as error:
            ending = {"code": error.code, "message": error.message}
        except MemoryError:
            ending = {"code": "memory", "message": FAILURE_CODES["memory"]}
        except _NobodyThere:
            raise
        except Exception:  # noqa: BLE001  (nearly anything, of hostile bytes)
            ending = {"code": "corrupt", "message": FAILURE_CODES["corrupt"]}
        seconds = time.perf_counter() - began
        facts = {"digest": content.digest.hex(), "size": content.size, "mtime_ns": content.mtime_ns}
        facts |= {"reading": content.seconds, "decoding": max(0.0, seconds - content.seconds)}
        self._say(id=task["id"], done=True, **facts, **ending)

    def _picture_or_film(self, task: Message, content: "Content") -> Message:
        if not content.size:
            raise BadItem("empty", FAILURE_CODES["empty"])
        if image.recognises(content.head):
            return self._picture(task, content)
        if containers.recognises(content.head):
            return self._film(task, content)
        if content.size <= LARGE:
            return self._picture(task, content)  # which says what is wrong with it
        raise BadItem("unsupported-format", FAILURE_CODES["unsupported-format"])

    def _picture(self, task: Message, content: "Content") -> Message:
        data = content.read()
        if content.digest.hex() == task["known"]:
            return {"same": True}
        picture = image.opened(data)
        self._check_size(picture)
        allow_cpu(self._recipe.limits.cpu + picture.width * picture.height / PIXELS_PER_SECOND)
        self._send(task, content, None, *image.reduced(picture, self._least))
        return {}

    def _film(self, task: Message, content: "Content") -> Message:
        if find_spec("av") is None:
            raise BadItem("missing-extra", FAILURE_CODES["missing-extra"])
        from glimpse.decoders.video import Film  # noqa: PLC0415  (where a film is met)

        with Film(content.file) as film:
            content.hash(self._alive)
            if content.digest.hex() == task["known"]:
                return {"same": True}
            if not self._is_wanted(task, content):
                return {}
            if task["time"] is not None:
                self._send(task, content, task["time"], film.at(task["time"]))
                return {}
            self._say(id=task["id"], duration=film.duration)
            sampling = Sampling(**task["sampling"]) if task.get("sampling") else self._recipe.sampling
            for moment, picture in film.frames(sampling, self._alive):
                self._check_size(picture)
                self._send(task, content, moment, picture)
        return {}

    def _is_wanted(self, task: Message, content: "Content") -> bool:
        """Ask, for a film takes long: its content may be known under another name."""
        self._answers.clear()
        self._say(id=task["id"], digest=content.digest.hex(), ask=True)
        while not self._answers:
            self._listen()
        return self._answers.pop()

    def _check_size(self, picture: Image.Image) -> None:
        if min(picture.size) < self._recipe.min_side:
            raise BadItem("too-small", FAILURE_CODES["too-small"])

    def _send(
        self,
        task: Message,
        content: "Content",
        moment: float | None,
        picture: Image.Image,
        shown: tuple[float, float] | None = None,
    ) -> None:
        """Put a picture into a free square of memory and say where; waits until there is one."""
        made = self._made(picture, shown)
        while not self._free:
            self._listen()
        slot = self._free.pop()
        start = slot * self._recipe.slot_bytes
        self._memory[start : start + made.nbytes] = made.data
        facts = {"slot": slot, "shape": made.shape[:2], "time": moment, "digest": content.digest.hex()}
        self._say(id=task["id"], **facts)
        allow_cpu(self._recipe.limits.cpu)

    def _made(self, picture: Image.Image, shown: tuple[float, float] | None) -> Pixels:
        if self._recipe.rules:
            return pixels.prepare(picture, self._recipe.rules, parity=self._recipe.parity, shown=shown)
        return pixels.thumbnail(picture, self._recipe.size)


@contextmanager
def _to_somebody() -> Iterator[None]:
    try:
        yield
    except (EOFError, OSError) as error:
        raise _NobodyThere from error


if __name__ == "__main__":
    main()
