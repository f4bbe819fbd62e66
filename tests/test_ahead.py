import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from glimpse.ahead import ahead


def test_order_and_batches():
    with ThreadPoolExecutor(3) as pool:
        assert list(ahead(pool, lambda x: x * 2, range(7), lambda: 3)) == [[0, 2, 4], [6, 8, 10], [12]]
        assert list(ahead(pool, str, [], lambda: 3)) == []


def test_the_next_batch_is_under_way_and_no_more_than_that():
    started, lock = [], threading.Lock()

    def work(x):
        with lock:
            started.append(x)
        return x

    with ThreadPoolExecutor(2) as pool:
        batches = ahead(pool, work, iter(range(100)), lambda: 5)
        assert next(batches) == [0, 1, 2, 3, 4]
        pool.submit(lambda: None).result()
        assert max(started) < 10


def test_an_error_reaches_the_caller():
    with ThreadPoolExecutor(1) as pool, pytest.raises(ZeroDivisionError):
        list(ahead(pool, lambda x: 1 / x, [1, 0], lambda: 1))
