"""Processes that read and decode, so that no file can take the program down, fill its memory, or hold it up.

`pool.py` is the program's side: it hands out items, takes back pixels, and replaces a worker that died or overran; `process.py` is one
worker as the program sees it, `events.py` what goes in and out, `readers.py` threads for what only the program can read. `child.py`
is what runs in a worker: bytes → pictures → model-ready uint8 in shared memory. `limits.py` is what a worker may use, `syscalls.py`
what it may not ask of Linux. What a worker says is read as JSON, never as pickles, and believed as little as a file is.
"""
