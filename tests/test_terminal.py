import base64
import io
import re
import sys

import pytest
from PIL import Image

from conftest import noise
from glimpse import terminal
from glimpse.values import Progress


def test_plain_lines_come_now_and_then_and_at_the_end(capsys, monkeypatch):
    monkeypatch.setattr(terminal.time, "monotonic", iter([0.0, 0.0, 0.1, 0.2, 5.0, 5.0, 5.1, 5.1]).__next__)
    with terminal.progress("indexing") as update:
        for done in (64, 128, 192, 256):
            update(Progress(done, 256, done, 0, done / 10))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "indexing: 64/256 (10.0 images/s, 19 s left)"
    assert lines[-1] == "indexing: 256/256 (10.0 images/s, 0 s left)"
    assert len(lines) < 4


class Screen(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_a_bar_with_rate_and_a_table(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys, "stderr", Screen())
    with terminal.progress("indexing") as update:
        update(Progress(64, 128, 63, 1, 1.0))
    assert "63 images/s, 1 failed" in sys.stderr.getvalue()
    assert "64/128" in sys.stderr.getvalue()
    monkeypatch.setattr(sys, "stdout", Screen())
    terminal.show_table(["score", "picture"], [["0.5", "/a/[red]b.jpg"]])
    shown = re.sub(r"\x1b\[[0-9;]*m", "", sys.stdout.getvalue())
    assert "score" in shown
    assert "/a/[red]b.jpg" in shown  # markup in a name is no markup


def test_a_terminal_gets_a_bar_of_bytes_and_nothing_else_does(monkeypatch, capsys):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    with terminal.byte_progress("a.jpg") as update:
        update(500_000, 2_000_000)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys, "stderr", Screen())
    with terminal.byte_progress("[b]\x1b.jpg") as update:
        update(500_000, None)
        update(500_000, 2_000_000)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", sys.stderr.getvalue())
    assert "[b]\\x1b.jpg" in shown  # neither markup nor a control character
    assert "0.5/2.0 MB" in shown


def test_quiet_progress_says_nothing(capsys):
    with terminal.progress("x", quiet=True) as update:
        update(Progress(1, 1, 1, 0, 1.0))
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("environment", "protocol"),
    [
        ({"TERM_PROGRAM": "iTerm.app"}, "iterm"),
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"KITTY_WINDOW_ID": "1"}, "kitty"),
        ({}, ""),
    ],
)
def test_terminals_that_show_pictures_are_known(monkeypatch, environment, protocol):
    for name in ("TERM_PROGRAM", "TERM", "KITTY_WINDOW_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", Screen())
    assert terminal.can_show_pictures() == bool(protocol)
    terminal.show_picture(noise(1))
    assert sys.stdout.getvalue().startswith("\x1b]1337;" if protocol == "iterm" else "\x1b_G")


def test_the_picture_arrives_whole_in_either_protocol():
    picture = noise(1, (90, 60))
    by_iterm = terminal.picture_escapes(picture, "iterm").split(":", 1)[1].rstrip("\x07")
    chunks = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", terminal.picture_escapes(picture, "kitty"))
    assert len(chunks) > 1
    assert [head[-3:] for head, _ in chunks] == ["m=1"] * (len(chunks) - 1) + ["m=0"]
    for data in (by_iterm, "".join(data for _, data in chunks)):
        assert Image.open(io.BytesIO(base64.b64decode(data))).tobytes() == picture.tobytes()
