"""The program's side of the workers: items go out, pixels and endings come back, in any order.

A worker has a few items ahead, so that it never waits, and a few squares of shared memory, so that it cannot run away. One that dies,
or says nothing for too long, is replaced; the item it was at is tried once more, alone, and fails then. Bytes that only the program can
read (a bucket's, a table's) are read by threads and handed over. Knows neither models nor collections.
"""

import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from multiprocessing.connection import wait
from types import TracebackType
from typing import Any, Self

from glimpse import sources
from glimpse.errors import BadItem, GlimpseError, WorkerError
from glimpse.values import FAILURE_CODES, Failure, Item
from glimpse.workers.events import Ending, Event, Job, Task
from glimpse.workers.process import DIGEST, Process, sound
from glimpse.workers.readers import Readers
from glimpse.workers.recipe import Recipe

READERS = 8  # threads that read what workers cannot
READ_AHEAD = 256_000_000  # bytes read by them and not taken yet, of items whose size is known
UNKNOWN_SIZE = 8_000_000  # bytes, for the above
TICK = 0.1  # seconds
LARGEST_MESSAGE = 65_536  # bytes a worker may say at once
MESSAGES = 64  # heard from one worker before the others have their turn
STARTS = 3  # in a row that may fail


class Pool:
    """Workers that decode. Use it as a context manager; not for several threads at once."""

    def __init__(self, recipe: Recipe, *, workers: int | None = None) -> None:
        """Prepare; a worker is started when there is work for it.

        Args:
            recipe: what to make of pictures.
            workers: how many at most. None: one for each processor core.
        """
        self._recipe = recipe
        self._most = workers or os.cpu_count() or 1
        self._workers: list[Process] = []
        self._again: deque[Job] = deque()
        self._ready: deque[Job] = deque()  # read by a thread, or taken back from a worker that died
        self._reading: dict[Future[bytes | Failure], Job] = {}
        self._readers = Readers(READERS)
        self._lost_starts = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all workers."""
        self._readers.close()
        for worker in self._workers:
            worker.end()
        self._workers.clear()

    def run(
        self, tasks: Iterable[Task], wanted: Callable[[Item, bytes], bool] = lambda _item, _digest: True
    ) -> Iterator[Event]:
        """Decode items.

        Args:
            tasks: items; taken only as fast as they are decoded.
            wanted: asked with a film and the digest of its content before it is decoded, which may take long.

        Yields:
            For each item its frames, and then one ending, that of a picture right behind it; None now and then while nothing
            happens.

        Raises:
            WorkerError: no worker can be started here.
        """
        jobs = (Job(number, task) for number, task in enumerate(tasks))
        while True:
            self._hand_out(jobs)
            if not self._is_busy():
                return
            yield from self._events(wanted)

    def _is_busy(self) -> bool:
        return bool(self._again or self._ready or self._reading or any(worker.jobs for worker in self._workers))

    # Handing out ------------------------------------------------------------------------------------------------------

    def _hand_out(self, jobs: Iterator[Job]) -> None:
        """Give workers all that they have room for."""
        self._fill(jobs)
        while self._give():
            self._fill(jobs)

    def _fill(self, jobs: Iterator[Job]) -> None:
        """Have a few jobs ready; what workers cannot read by themselves goes to the readers first."""
        while len(self._ready) < self._most and self._may_read() and (job := next(jobs, None)):
            origin = job.task.item.origin
            job.region = sources.of_origin(origin).region(*origin[1:])
            if job.region:
                self._ready.append(job)
            else:
                self._reading[self._readers.submit(partial(_read, job))] = job

    def _may_read(self) -> bool:
        """Whether the readers, and what they have read, leave room for more."""
        sizes = [job.task.item.size if job.task.item.size >= 0 else UNKNOWN_SIZE for job in self._reading.values()]
        return len(sizes) < READERS and sum(sizes) + sum(len(job.data) for job in self._ready) < READ_AHEAD

    def _give(self) -> bool:
        """Give one job to the worker that has least to do; says whether there was one to give, and to take it."""
        if self._again and (worker := self._idlest(self._workers)) and not worker.jobs:
            worker.take(self._again.popleft())
            return True
        if not self._ready:
            return False
        reserved = 1 if self._again else 0  # the first worker finishes what it has, to be free for those tried again
        worker = self._idlest(self._workers[reserved:])
        if not worker or (self._ready[0].data and worker.jobs):  # the socket takes bytes only as they are read
            return False
        worker.take(self._ready.popleft())
        return True

    def _idlest(self, among: list[Process]) -> Process | None:
        """The worker with least to do that has room, a new one where all are busy and there may be more."""
        worker = min((one for one in among if one.has_room), key=lambda one: len(one.jobs), default=None)
        if (worker is None or worker.jobs) and len(self._workers) < self._most:
            worker = Process(self._recipe)
            self._workers.append(worker)
        return worker

    # Taking back ------------------------------------------------------------------------------------------------------

    def _events(self, wanted: Callable[[Item, bytes], bool]) -> Iterator[Event]:
        """What has happened since; waits a moment if nothing has."""
        happened = False
        for event in self._read_events():
            happened = True
            yield event
        busy = {worker.connection: worker for worker in self._workers}
        patience = 0.0 if happened else TICK / 10 if self._reading else TICK
        for connection in wait(list(busy), patience):
            happened = True
            yield from self._hear(busy[connection], wanted)  # type: ignore[index]
        for worker in [one for one in self._workers if one.is_overdue(self._recipe.limits)]:
            happened = True
            yield from self._bury(worker, "timeout")
        if not happened:
            yield None

    def _read_events(self) -> Iterator[Event]:
        """Take over what the readers have read."""
        for future in [one for one in self._reading if one.done()]:
            job = self._reading.pop(future)
            found = future.result()
            if isinstance(found, Failure):
                yield Ending(job.task.item, failure=found, reading=job.reading)
            else:
                job.data = found
                self._ready.append(job)

    def _hear(self, worker: Process, wanted: Callable[[Item, bytes], bool]) -> Iterator[Event]:
        """What a worker has to say."""
        try:
            for _ in range(MESSAGES):
                if worker.connection.poll():
                    said = json.loads(worker.connection.recv_bytes(LARGEST_MESSAGE))
                    yield from self._understand(worker, said, wanted)
        except GlimpseError:  # of ours, not of the worker's making
            raise
        except Exception:  # noqa: BLE001  (it is dead, or not itself any more: whatever it said, it is not believed)
            yield from self._bury(worker, "")

    def _understand(
        self, worker: Process, said: dict[str, Any], wanted: Callable[[Item, bytes], bool]
    ) -> Iterator[Event]:
        worker.heard()
        if "id" not in said:
            self._lost_starts = 0
            return
        job = worker.jobs[0]
        if said["id"] != job.number:
            raise ValueError(said["id"])
        if "slot" in said:
            frame = worker.frame(job, said)
            if frame.time is None:
                job.picture = frame
            else:
                yield frame
        elif "ask" in said:
            worker.tell(wanted=wanted(job.task.item, bytes.fromhex(said["digest"])))
        elif "done" in said:
            ending = _ending(job, said)  # which may find that the worker talks nonsense
            worker.jobs.popleft()
            worker.began = time.monotonic()
            if job.picture:
                yield job.picture
            yield ending
        else:
            job.duration = None if said["duration"] is None else sound(said["duration"])

    def _bury(self, worker: Process, code: str) -> Iterator[Event]:
        """Replace a worker that died or overran; its item gets one more chance, those behind it are not to blame."""
        self._workers.remove(worker)
        code = code or worker.cause_of_death()
        worker.end()
        if not worker.was_ready:
            self._lost_starts += 1
            if self._lost_starts >= STARTS:
                raise WorkerError("the processes that decode pictures cannot be started: run `glimpse doctor`")
            self._ready.extendleft(reversed(worker.jobs))
            return
        if not worker.jobs:
            return
        job = worker.jobs.popleft()
        self._ready.extendleft(reversed(worker.jobs))
        if job.alone:
            yield Ending(job.task.item, failure=Failure(job.task.item.key, code, FAILURE_CODES[code]))
        else:
            job.alone = True
            self._again.append(job)


def _read(job: Job) -> bytes | Failure:
    """Read what only the program can, in a thread."""
    began = time.perf_counter()
    name, *where = job.task.item.origin
    try:
        data: bytes = sources.of_origin((name,)).read(*where)
        return data
    except BadItem as error:
        return Failure(job.task.item.key, error.code, error.message)
    except MemoryError:
        return Failure(job.task.item.key, "memory", FAILURE_CODES["memory"])
    except Exception:  # noqa: BLE001  (one strange name must not end the run, whatever a library makes of it)
        return Failure(job.task.item.key, "unreadable", FAILURE_CODES["unreadable"])
    finally:
        job.reading = time.perf_counter() - began


def _ending(job: Job, said: dict[str, Any]) -> Ending:
    item = job.task.item
    size, mtime_ns, digest = int(said["size"]), int(said["mtime_ns"]), bytes.fromhex(said["digest"])
    if not (max(size, mtime_ns) < 1 << 63 and len(digest) in (0, DIGEST)):
        raise ValueError(size)
    if mtime_ns >= 0:  # what was read may be newer than what was listed
        item = replace(item, size=size, mtime_ns=mtime_ns)
    failure = Failure(item.key, said["code"], FAILURE_CODES[said["code"]]) if "code" in said else None
    return Ending(
        item=item,
        digest=digest,
        failure=failure,
        same=bool(said.get("same")),
        duration=job.duration,
        reading=job.reading + sound(said["reading"]),
        decoding=sound(said["decoding"]),
    )
