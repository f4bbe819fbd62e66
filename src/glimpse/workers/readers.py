"""Threads that read what workers cannot: objects on servers, cells of tables. Knows neither.

They are daemons: a server that does not answer holds up neither the end of a run nor the end of the program, as the threads of
`concurrent.futures` would.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any

_Work = tuple["Future[Any]", Callable[[], Any]]


class Readers:
    """So many threads, started as they are needed."""

    def __init__(self, most: int) -> None:
        self._most, self._threads = most, 0
        self._todo: SimpleQueue[_Work | None] = SimpleQueue()

    def submit(self, work: Callable[[], Any]) -> "Future[Any]":
        """Have something done by the next thread that is free."""
        future: Future[Any] = Future()
        self._todo.put((future, work))
        if self._threads < self._most:
            self._threads += 1
            threading.Thread(target=self._run, name="glimpse-reader", daemon=True).start()
        return future

    def close(self) -> None:
        """Let the threads end when they have done what they are at; waits for none."""
        for _ in range(self._threads):
            self._todo.put(None)

    def _run(self) -> None:
        while work := self._todo.get():
            future, do = work
            try:
                future.set_result(do())
            except BaseException as error:  # noqa: BLE001  (whoever asks for the result gets it)
                future.set_exception(error)
