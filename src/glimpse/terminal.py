"""What the command line shows: progress, tables, sentences, pictures in terminals that can show them.

Results go to standard output, everything else to standard error. Rich is imported only when there is something to draw.
"""

import base64
import contextlib
import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from PIL import Image

from glimpse.values import Progress

PLAIN_EVERY = 2.0  # seconds between progress lines where there is no terminal


def say(sentence: str) -> None:
    """One line to the person, not to the program that reads the results."""
    if sys.stderr:
        with contextlib.suppress(OSError):  # nobody listens, which is no reason to stop
            print(printable(sentence), file=sys.stderr, flush=True)


def show_json(value: Any, *, line: bool = False) -> None:
    """A result for programs; one of several, as they come, is a line each."""
    print(json.dumps(value, ensure_ascii=False, indent=None if line else 2), flush=line)


def show_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on a terminal; elsewhere one line a row, its cells separated by tabs, nothing cut off."""
    clean = [[printable(cell) for cell in row] for row in rows]
    if not (sys.stdout and sys.stdout.isatty()):
        for row in clean:
            print("\t".join(row))
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in clean:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def printable(text: str) -> str:
    """Text whose control characters, which could take over a terminal, are written as escapes."""
    return "".join(letter if letter.isprintable() else _escaped(letter) for letter in text)


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")


@contextmanager
def progress(what: str, *, quiet: bool = False) -> Iterator[Callable[[Progress], None]]:
    """Something to hand to `index(progress=…)`: a bar on a terminal, plain lines now and then elsewhere."""
    if quiet:
        yield lambda _: None
    elif sys.stderr and sys.stderr.isatty():
        with _bar(what) as update:
            yield update
    else:
        yield _plain_lines(what)


def _plain_lines(what: str) -> Callable[[Progress], None]:
    last = -PLAIN_EVERY

    def update(now: Progress) -> None:
        nonlocal last
        if time.monotonic() - last >= PLAIN_EVERY or now.done == now.total:
            last = time.monotonic()
            say(f"{what}: {now}")

    return update


@contextmanager
def _bar(what: str) -> Iterator[Callable[[Progress], None]]:
    from rich import progress as rich_progress  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415

    columns = (
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(),
        rich_progress.MofNCompleteColumn(),
        rich_progress.TextColumn("{task.fields[rate]}"),
        rich_progress.TimeRemainingColumn(),
    )
    with rich_progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None, rate="")

        def update(now: Progress) -> None:
            failed = f", {now.failed} failed" if now.failed else ""
            slow = f", waiting for {now.bottleneck}" if now.bottleneck else ""
            rate = "listing" if now.total is None else f"{now.rate:.0f} images/s{slow}{failed}"
            bar.update(task, total=now.total, completed=now.done, rate=rate)

        yield update


@contextmanager
def byte_progress(what: str) -> Iterator[Callable[[int, int | None], None]]:
    """Something to call with (bytes so far, bytes in all if known): a bar on a terminal, nothing elsewhere."""
    if not (sys.stderr and sys.stderr.isatty()):
        yield lambda _done, _total: None
        return
    from rich import progress as rich_progress  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415

    columns = (
        rich_progress.TextColumn("{task.description}", markup=False),
        rich_progress.BarColumn(),
        rich_progress.DownloadColumn(),
        rich_progress.TransferSpeedColumn(),
        rich_progress.TimeRemainingColumn(),
    )
    with rich_progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(printable(what), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def can_show_pictures() -> bool:
    """Whether the terminal draws pictures, by the protocol of iTerm2 or of kitty."""
    return bool(sys.stdout and sys.stdout.isatty()) and bool(_picture_protocol())


def _picture_protocol() -> str:
    if os.environ.get("TERM_PROGRAM") in ("iTerm.app", "WezTerm", "mintty"):
        return "iterm"
    is_kitty = "KITTY_WINDOW_ID" in os.environ or os.environ.get("TERM") in ("xterm-kitty", "xterm-ghostty")
    return "kitty" if is_kitty else ""


def show_picture(picture: Image.Image) -> None:
    """Draw a picture where the cursor is."""
    sys.stdout.write(picture_escapes(picture, _picture_protocol()) + "\n")
    sys.stdout.flush()


def picture_escapes(picture: Image.Image, protocol: str) -> str:
    """The bytes that make a terminal draw a picture.

    By https://iterm2.com/documentation-images.html and https://sw.kovidgoyal.net/kitty/graphics-protocol.
    """
    file = io.BytesIO()
    picture.save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode("ascii")
    if protocol == "iterm":
        return f"\x1b]1337;File=inline=1;size={len(file.getvalue())}:{data}\x07"
    chunks = [data[start : start + 4096] for start in range(0, len(data), 4096)]
    heads = ["a=T,f=100," if place == 0 else "" for place in range(len(chunks))]
    more = [int(place < len(chunks) - 1) for place in range(len(chunks))]
    return "".join(f"\x1b_G{head}m={m};{chunk}\x1b\\" for head, m, chunk in zip(heads, more, chunks, strict=True))
