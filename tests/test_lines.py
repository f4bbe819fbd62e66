import io
import os
import sys
import types

import pytest

from glimpse import sources
from glimpse.errors import UsageError
from glimpse.sources import lines
from glimpse.values import Failure, Selection
from test_archive import pack


@pytest.fixture
def say(monkeypatch):
    def give(text):
        monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(text))))

    return give


def keys(**selection):
    return [found.key for found in lines.items("-", Selection(**selection))]


def test_each_line_is_a_place(tmp_path, say, monkeypatch):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a b.jpg").write_text("x")
    (tmp_path / "x.csv").write_text("path\nin/a b.jpg\n")
    pack(tmp_path / "x.tar", ("1.jpg", b"x"))
    monkeypatch.chdir(tmp_path)
    say(b"in\nx.tar\r\n\nx.csv\nhttps://host/c[1]*.jpg\nin/a b.jpg")
    file = f"{tmp_path}/in/a b.jpg"
    assert keys() == [file, f"{tmp_path}/x.tar/1.jpg", file, "https://host/c[1]*.jpg", file]


def test_names_as_find_print0_writes_them(tmp_path, say):
    odd = [b"new\nline", b"\xff", b"*", b"-"]
    for name in odd:
        (tmp_path / os.fsdecode(name)).write_text("x")
    say(b"\0".join(os.fsencode(tmp_path) + b"/" + name for name in odd) + b"\0")
    assert keys() == [f"{tmp_path}/{name}" for name in ("new\nline", "\\xff", "*", "-")]


def test_what_is_not_there_is_a_failure(tmp_path, say, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a1.jpg").write_text("x")
    (tmp_path / "bad.tar").write_bytes(b"\x1f\x8b\x08 gzip")
    say(b"gone.jpg\na[1].jpg\n-\nbad.tar\nfile:///x\n")
    found = list(lines.items("-"))
    assert [one.code for one in found] == ["vanished"] * 3 + ["unreadable"] * 2
    assert [one.key for one in found][:3] == [f"{tmp_path}/{name}" for name in ("gone.jpg", "a[1].jpg", "-")]
    assert "decompress" in found[3].message


def test_patterns_go_on_to_the_places(tmp_path, say):
    for name in ("a.jpg", "b.png"):
        (tmp_path / name).write_text("x")
    say(f"{tmp_path}\n{tmp_path}/b.png\n".encode())
    assert keys(include=("*.jpg",)) == [f"{tmp_path}/a.jpg"]


def test_lines_are_taken_while_they_come_in(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("x")
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as ours, os.fdopen(writing, "wb", buffering=0) as theirs:
        monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=ours))
        found = lines.items("-")
        for _ in range(3):
            theirs.write(f"{tmp_path}/a\n".encode())
            assert next(found).key == f"{tmp_path}/a"


def test_no_list(say, monkeypatch):
    say(b"")
    assert keys() == []
    say(b"x" * (lines.LONGEST + lines.CHUNK + 1))
    with pytest.raises(UsageError, match="give a list"):
        keys()
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(UsageError, match="no standard input"):
        keys()


def test_pictures_are_no_list(say):
    for binary in (b"\xff\xd8\xff\xe0\0\x10JFIF\0\n", b"\x89PNG\r\n\x1a\n\0\0", bytes(range(256)) * 300):
        say(binary)
        with pytest.raises(UsageError, match="standard input is no list of places: one path or URL a line"):
            keys()


def test_names_may_be_odd(tmp_path, say, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for text in (b"\x1b[0m.jpg\t\r\n", "é\x01.jpg".encode(), b"caf\xe9.jpg\n"):
        say(text)
        assert len(keys()) == 1
    monkeypatch.setattr(lines, "CHUNK", 4)
    say("\x01aaé.jpg".encode())  # the first block ends within é
    assert keys() == [f"{tmp_path}/\x01aaé.jpg"]


def test_one_strange_address_is_a_failure_and_the_rest_goes_on(tmp_path, say):
    (tmp_path / "a").write_text("x")
    urls = b"foo://b/x.jpg\nssh://h/*.jpg\nftp://127.0.0.1:9/x.jpg\nftp://h/\xff\nhttp://h/\xff.jpg\n"
    say(urls + os.fsencode(tmp_path) + b"/a\n")
    found = list(lines.items("-"))
    wanted = ["", "unreadable", "unreadable", "unreadable", "", ""]
    assert [one.code if isinstance(one, Failure) else "" for one in found] == wanted
    assert found[4].key == "http://h/\\xff.jpg"
    assert found[5].key == f"{tmp_path}/a"
    for one in found:
        (one.key + getattr(one, "message", "")).encode()


def test_a_list_owns_nothing():
    source = sources.of_place("-")
    assert source is lines
    assert not source.covers("-", "/a")
    assert not "/a".startswith(source.prefix("-"))
