"""A run shared by processes, one for each device: what a runtime uses whose library computes on one device at a time.

Batches are split over them; pixels and rows pass through shared memory. Each is told the weights once, and lives as long as
the run. Knows no library: how a tower is compiled in a process is a function that it is given.
"""

import ctypes
import multiprocessing
import signal
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glimpse.errors import WorkerError
from glimpse.runtimes import Array, Run, Tower
from glimpse.values import Pixels, Rows

PICTURES = 512  # in one message: several batches of a card, so that it can copy one while it computes another
SLOTS = 2  # messages under way: the program fills one while a process works on another
PATIENCE = 5.0  # seconds that a process has to end by itself

Compile = Callable[[Tower, str], Run]


class Processes:
    """A compiled image tower on several devices; called like any other run."""

    def __init__(self, tower: Tower, precision: str, compile_tower: Compile) -> None:
        """Start the processes and wait until all are ready.

        Args:
            tower: of pictures; its function must be one that a module has, for it is passed on by name.
            precision: what to compute in.
            compile_tower: compiles a tower of one device; passed on by name, too.

        Raises:
            WorkerError: one of them cannot be started.
        """
        self._dim, self._turn = tower.card.dim, threading.Lock()
        self._workers = [_Worker(tower, device, precision, compile_tower) for device in tower.devices]
        self._end = weakref.finalize(self, _end, self._workers)
        weights = tower.weights()
        self._each(lambda i: self._workers[i].make_ready(weights))

    def __call__(self, pixels: Pixels) -> Rows:
        """Embed uint8 (n, size, size, 3) → (n, dim), rows in the order of the pictures.

        Raises:
            WorkerError: a process is dead, or cannot compute; the run cannot be used any more.
        """
        rows = np.empty((len(pixels), self._dim), np.float32)
        places, count = _places(len(pixels), len(self._workers)), len(self._workers)
        with self._turn:
            self._each(lambda i: self._workers[i].work(pixels, rows, places[i::count]))
        return rows

    def _each(self, do: Callable[[int], None]) -> None:
        """Do something with every process at a time, and end all of them if that goes wrong with one."""
        with ThreadPoolExecutor(len(self._workers)) as pool:
            doing = [pool.submit(do, i) for i in range(len(self._workers))]
            try:
                for done in as_completed(doing):
                    done.result()
            except BaseException:  # and where it is interrupted, for nobody would take the answers
                self._end()  # before the pool is left, which waits for those who wait for answers
                raise


def _places(count: int, processes: int) -> list[slice]:
    """Cut a batch into messages, the same number for each process or one less."""
    step = max(1, min(PICTURES, -(-count // processes)))
    return [slice(start, min(count, start + step)) for start in range(0, count, step)]


def _end(workers: "list[_Worker]") -> None:
    for worker in workers:
        worker.hang_up()
    until = time.monotonic() + PATIENCE  # of all together
    for worker in workers:
        worker.end(max(0.0, until - time.monotonic()))


class _Worker:
    """One process as the program sees it."""

    def __init__(self, tower: Tower, device: str, precision: str, compile_tower: Compile) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would have no use of a card that the program has used
        side, self._device = tower.card.pixels.size, device
        # Unlike named shared memory, these have room where /dev/shm is small, and leave nothing behind.
        pixels = context.RawArray(ctypes.c_uint8, SLOTS * PICTURES * side * side * 3)
        rows = context.RawArray(ctypes.c_float, SLOTS * PICTURES * tower.card.dim)
        self._pixels, self._rows = _shared(pixels, rows, tower)
        self._connection, theirs = context.Pipe()
        alone = replace(tower, weights=dict, devices=(device,))  # what reads the weights cannot be passed on
        given = (theirs, alone, precision, compile_tower, pixels, rows)
        self.process = context.Process(target=_serve, args=given, daemon=True, name=f"glimpse on {device}")
        try:
            self.process.start()
        except (OSError, AssertionError) as error:  # the latter in a process that is itself to end with its parent
            raise WorkerError(f"no process can be started for {device} ({error}): close other programs") from error
        theirs.close()  # so that it is noticed when the process closes its own

    def make_ready(self, weights: Mapping[str, Array]) -> None:
        """Tell the weights, one by one, and wait until the tower is compiled."""
        for named in weights.items():
            self._tell(named)
        self._tell(None)
        self._listen()

    def work(self, pixels: Pixels, rows: Rows, places: list[slice]) -> None:
        """Embed the pictures at some places, and put the rows where they belong."""
        under_way: deque[tuple[int, slice]] = deque()
        for i, place in enumerate(places):
            if len(under_way) == SLOTS:
                self._collect(rows, *under_way.popleft())
            slot, count = i % SLOTS, place.stop - place.start
            self._pixels[slot, :count] = pixels[place]
            self._tell((slot, count))
            under_way.append((slot, place))
        for slot, place in under_way:
            self._collect(rows, slot, place)

    def _collect(self, rows: Rows, slot: int, place: slice) -> None:
        self._listen()
        rows[place] = self._rows[slot, : place.stop - place.start]

    def _tell(self, message: Any) -> None:
        try:
            self._connection.send(message)
        except OSError as error:  # it is dead, or was ended after another one died
            raise self._death() from error

    def _listen(self) -> None:
        """Wait for an answer.

        Raises:
            WorkerError: there is none to come, or it says what went wrong.
        """
        try:
            wait([self._connection, self.process.sentinel])
            if not self._connection.poll():
                raise self._death()
            problem = self._connection.recv()
        except (EOFError, OSError) as error:
            raise self._death() from error
        if problem is not None:
            raise WorkerError(f"the process that computes on {self._device} could not: {problem}. Load the model anew")

    def _death(self) -> WorkerError:
        with suppress(ValueError, AssertionError):
            self.process.join(PATIENCE)  # its end of the pipe is closed a little before it is dead
        how = f" (exit code {self.process.exitcode})" if self.process.exitcode is not None else ""
        return WorkerError(
            f"the process that computes on {self._device} has ended{how}: load the model anew, with fewer devices if memory is"
            ' short; a script that uses several needs `if __name__ == "__main__":` around what it does'
        )

    def hang_up(self) -> None:
        """Have the process end."""
        self._connection.close()

    def end(self, patience: float) -> None:
        """Make sure that it has, after so many seconds; it has nothing to lose."""
        self.process.join(patience)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def _shared(pixels: Any, rows: Any, tower: Tower) -> tuple[Pixels, Rows]:
    """The two pieces of shared memory as arrays: (slots, pictures, size, size, 3) and (slots, pictures, dim)."""
    side = tower.card.pixels.size
    seen: NDArray[np.uint8] = np.frombuffer(pixels, np.uint8).reshape(SLOTS, PICTURES, side, side, 3)
    return seen, np.frombuffer(rows, np.float32).reshape(SLOTS, PICTURES, tower.card.dim)


# In the process -------------------------------------------------------------------------------------------------------


def _serve(
    connection: Connection, tower: Tower, precision: str, compile_tower: Compile, pixel_memory: Any, row_memory: Any
) -> None:
    """Compile the tower and embed what is asked for, until the program hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the program decides what an interrupt ends
    pixels, rows = _shared(pixel_memory, row_memory, tower)
    with suppress(EOFError, OSError):  # nobody is there any more
        weights = dict(_told(connection))
        try:
            run = compile_tower(replace(tower, weights=lambda: weights), precision)
            while True:
                connection.send(None)
                slot, count = connection.recv()
                rows[slot, :count] = run(pixels[slot, :count])
        except (EOFError, OSError):
            raise
        except Exception as error:  # noqa: BLE001  (anything that a library may raise is the program's to tell)
            connection.send(f"{type(error).__name__}: {error}")


def _told(connection: Connection) -> Iterator[tuple[str, Array]]:
    while (named := connection.recv()) is not None:
        yield named
