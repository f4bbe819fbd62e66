"""What runs in a worker: one item after the other, bytes → pictures → model-ready uint8 in memory shared with the program.

Started as `python -m glimpse.workers.child FD_OF_A_SOCKET FD_OF_THE_MEMORY`. It is told what to make (`Recipe`), then an item at a
time; it answers with the places of pixels in the shared memory, and with how the item ended. Knows no model and no collection.
"""

import hashlib
import io
import json
import mmap
import os
import sys
import time
import warnings
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.util import find_spec
from multiprocessing.connection import Connection
from stat import S_ISREG
from typing import Any, BinaryIO, cast

from PIL import Image

from glimpse import pixels
from glimpse.decoders import image
from glimpse.decoders.footage import containers
from glimpse.errors import BadItem
from glimpse.values import FAILURE_CODES, PixelRules, Pixels, Sampling
from glimpse.workers.limits import PIXELS_PER_SECOND, Limits, allow_cpu, confine
from glimpse.workers.window import Window

LARGE = 1_000_000  # bytes; what is larger is looked at before it is read whole
STEP = 1 << 20  # bytes hashed at a time
SIGN_OF_LIFE = 1.0  # seconds between two

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What workers make of pictures.

    Attributes:
        size: side of the squares of shared memory that a picture is put into.
        rules: how pixels become the model's; None: thumbnails, which fit into the square and keep their shape.
        parity: see `pixels.prepare`.
        sampling: which frames of films are wanted.
        min_side: pictures with a shorter side are "too-small".
        slots: how many squares a worker has.
    """

    size: int
    rules: PixelRules | None
    parity: bool = False
    sampling: Sampling = Sampling()  # noqa: RUF009  (frozen)
    min_side: int = 1
    slots: int = 8
    limits: Limits = Limits()  # noqa: RUF009  (frozen)

    def as_json(self) -> bytes:
        """For the way to a worker."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, text: bytes) -> "Recipe":
        """What a worker was told."""
        values = json.loads(text)
        kinds = {"rules": PixelRules, "sampling": Sampling, "limits": Limits}
        return cls(
            **{name: kinds[name](**value) if name in kinds and value else value for name, value in values.items()}
        )

    @property
    def slot_bytes(self) -> int:
        """Bytes of one square."""
        return self.size * self.size * 3


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
        self._send(task, content, None, image.loaded(picture))
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
            for moment, picture in film.frames(self._recipe.sampling, self._alive):
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

    def _send(self, task: Message, content: "Content", moment: float | None, picture: Image.Image) -> None:
        """Put a picture into a free square of memory and say where; waits until there is one."""
        made = self._made(picture)
        while not self._free:
            self._listen()
        slot = self._free.pop()
        start = slot * self._recipe.slot_bytes
        self._memory[start : start + made.nbytes] = made.tobytes()
        facts = {"slot": slot, "shape": made.shape[:2], "time": moment, "digest": content.digest.hex()}
        self._say(id=task["id"], **facts)
        allow_cpu(self._recipe.limits.cpu)

    def _made(self, picture: Image.Image) -> Pixels:
        if self._recipe.rules:
            return pixels.prepare(picture, self._recipe.rules, parity=self._recipe.parity)
        return pixels.thumbnail(picture, self._recipe.size)


class Content:
    """The bytes of an item: opened, looked at, read, hashed; what the file said of itself when it was opened.

    Attributes:
        size, mtime_ns: of the opened file, which may have changed since it was listed.
        seconds: spent reading and hashing.
        digest: SHA-256 of all bytes, empty before they were read.
    """

    def __init__(self, task: Message) -> None:
        self._task = task
        self.size, self.mtime_ns, self.seconds, self.digest = task["size"], -1, 0.0, b""
        self.file: BinaryIO

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Have `file` open for a while.

        Raises:
            BadItem: "vanished" or "unreadable".
        """
        with self._counted(), _explained():
            self.file = self._open()
        with self.file:
            yield

    def _open(self) -> BinaryIO:
        task = self._task
        if task["inline"]:
            self.size = len(task["data"])
            return io.BytesIO(task["data"])
        if not S_ISREG(os.stat(task["path"]).st_mode):  # noqa: PTH116  (a pipe would be waited for)
            raise BadItem("unreadable", FAILURE_CODES["unreadable"])
        file = open(task["path"], "rb", buffering=0)  # noqa: PTH123, SIM115  (paths that are no text; `opened` closes it)
        found = os.fstat(file.fileno())
        if task["size"] < 0:
            self.size, self.mtime_ns = found.st_size, found.st_mtime_ns
            return cast("BinaryIO", file)
        return cast("BinaryIO", Window(cast("BinaryIO", file), task["offset"], task["size"]))

    @cached_property
    def head(self) -> bytes:
        """The first bytes."""
        with self._counted(), _explained():
            found = self.file.read(image.HEAD)
            self.file.seek(0)
        return found

    def read(self) -> bytes:
        """All bytes; the digest is known then.

        Raises:
            BadItem: "unreadable", "memory", or "truncated" where an archive ends before its member does.
        """
        with self._counted(), _explained():
            data = self.file.read()
            self.digest = hashlib.sha256(data).digest()
        if len(data) < self.size:
            raise BadItem("truncated", FAILURE_CODES["truncated"])
        return data

    def hash(self, alive: Any) -> None:
        """Make the digest without keeping the bytes, and leave the file at the place where it is."""
        made = hashlib.sha256()
        with self._counted(), _explained():
            place = self.file.tell()
            self.file.seek(0)
            while block := self.file.read(STEP):
                made.update(block)
                alive()
            self.file.seek(place)
        self.digest = made.digest()

    @contextmanager
    def _counted(self) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - began


@contextmanager
def _to_somebody() -> Iterator[None]:
    try:
        yield
    except (EOFError, OSError) as error:
        raise _NobodyThere from error


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise BadItem("vanished", FAILURE_CODES["vanished"]) from error
    except MemoryError as error:
        raise BadItem("memory", FAILURE_CODES["memory"]) from error
    except (OSError, ValueError) as error:
        raise BadItem("unreadable", FAILURE_CODES["unreadable"]) from error


if __name__ == "__main__":
    main()
