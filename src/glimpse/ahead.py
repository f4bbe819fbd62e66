"""Working ahead: while the caller uses one batch, a pool prepares the next, and no more than that."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from itertools import islice
from typing import TypeVar

In = TypeVar("In")
Out = TypeVar("Out")


def ahead(
    pool: Executor, work: Callable[[In], Out], items: Iterable[In], size: Callable[[], int]
) -> Iterator[list[Out]]:
    """Map work over items in order; yields lists of up to `size()` results and holds at most two of them."""
    todo = iter(items)
    waiting = [pool.submit(work, item) for item in islice(todo, size())]
    while waiting:
        following = [pool.submit(work, item) for item in islice(todo, size())]
        yield [future.result() for future in waiting]
        waiting = following
