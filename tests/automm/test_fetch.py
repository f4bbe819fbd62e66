"""`glimpse.automm.fetch`: downloads from a real server on this machine, over connections that break in every way."""

import errno
import gzip
import hashlib
import itertools
import os
import random
import shutil
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from web import Fault, Web, answer, chunked

from glimpse.automm import download, fetch
from glimpse.errors import DownloadError, GlimpseError, UsageError
from test_terminal import Screen

DATA = random.Random(0).randbytes(300_000)  # more than a connection gives at once
OTHER = bytes(reversed(DATA))
CLOSED = "http://127.0.0.1:9/x"  # nobody listens there


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setattr(fetch, "WAIT", 0.0)
    monkeypatch.setenv("no_proxy", "*")
    if "safe" not in request.fixturenames:  # reading the system's certificates takes longer than most tests
        empty = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        monkeypatch.setattr(fetch.ssl, "create_default_context", lambda: empty)


@pytest.fixture
def web() -> Iterator[Web]:
    with Web() as server:
        yield server


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder for downloads and nothing else."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def sha1(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def refused(url: str, path: Path, *said: str, **options: object) -> DownloadError:
    """A download that fails with one sentence, and leaves nothing under the final name."""
    before = path.read_bytes() if path.exists() else None
    with pytest.raises(DownloadError) as caught:
        download(url, path, **options)
    text = str(caught.value)
    assert all(part in text for part in said), text
    assert ": " in text.replace("://", ""), "it says what to do"
    assert "\n" not in text
    assert "Error" not in text
    assert (path.read_bytes() if path.exists() else None) == before
    return caught.value


# A download that goes well --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("etag", ['"one"', 'W/"one"', "one", ""])
@pytest.mark.parametrize("ranges", [True, False])
def test_a_file_arrives_whole_and_alone(web, out, etag, ranges):
    url = web.has("/cat.jpg", DATA, etag, ranges=ranges)
    assert download(url, out / "kept.jpg") == str(out / "kept.jpg")
    assert (out / "kept.jpg").read_bytes() == DATA
    assert names(out) == ["kept.jpg"]
    assert web.ranges() == [None]


def test_an_empty_file(web, out):
    assert Path(download(web.has("/none", b""), out)).read_bytes() == b""
    assert names(out) == ["none"]


def test_the_folder_is_made(web, out):
    path = download(web.has("/cat.jpg", DATA), str(out / "a" / "b" / "cat.jpg"))
    assert Path(path).read_bytes() == DATA


def test_without_a_path_it_lands_in_the_working_folder(web, out, monkeypatch):
    monkeypatch.chdir(out)
    assert download(web.has("/a/cat.jpg", DATA) + "?size=2#top") == "cat.jpg"
    assert names(out) == ["cat.jpg"]


def test_a_tilde_is_the_home(web, out, monkeypatch):
    monkeypatch.setenv("HOME", str(out))
    assert download(web.has("/a", DATA), "~/cat.jpg") == str(out / "cat.jpg")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/ein Bild.jpg", "ein Bild.jpg"),
        ("/ein%20Bild.jpg", "ein Bild.jpg"),
        ("/Bücher/Käfer.jpg", "Käfer.jpg"),
        ("/K%C3%A4fer.jpg", "Käfer.jpg"),
        ("/o/album%2Fcat.jpg", "cat.jpg"),
        ("/a;b=1/c&d=e,(f)[g]{h}|'i'.jpg", "c&d=e,(f)[g]{h}|'i'.jpg"),
        ("/..%2f..%2fetc", "etc"),
        ("/.hidden", ".hidden"),
    ],
)
def test_the_name_is_what_the_address_ends_in(web, out, path, name):
    assert download(web.has(path, DATA), out) == str(out / name)
    assert names(out) == [name]


@pytest.mark.parametrize(
    "path", ["", "/", "/folder/", "/folder/?name=x", "/..", "/.", "/a/%2E%2E", "/a/..%2F", "/a%5Cb", "/a%00b", "/a%0Ab"]
)
def test_an_address_that_ends_in_no_name_needs_a_path(web, out, path):
    with pytest.raises(UsageError, match="does not end in a file's name: give a path"):
        download(web.at(path), out)
    assert (names(out), names(out.parent), web.requests) == ([], ["out"], [])
    assert Path(download(web.has(path, DATA), out / "named")).read_bytes() == DATA


def test_space_around_an_address_is_no_part_of_it(web, out):
    assert Path(download(f" {web.has('/cat.jpg', DATA)}\n", out)).name == "cat.jpg"


def test_a_file_that_is_there_is_left_alone(web, out):
    (out / "cat.jpg").write_bytes(b"mine")
    url = web.has("/cat.jpg", DATA)
    assert download(url, out) == download(url, out, sha1_hash=sha1(b"mine").upper()) == str(out / "cat.jpg")
    assert ((out / "cat.jpg").read_bytes(), web.requests) == (b"mine", [])


@pytest.mark.parametrize("options", [{"overwrite": True}, {"sha1_hash": sha1(DATA)}, {"sha1_hash": sha1(DATA).upper()}])
def test_a_file_that_is_there_is_replaced_when_asked_or_wrong(web, out, options):
    (out / "cat.jpg").write_bytes(b"mine")
    download(web.has("/cat.jpg", DATA), out, **options)
    assert (out / "cat.jpg").read_bytes() == DATA
    assert names(out) == ["cat.jpg"]


def test_the_old_file_stays_until_the_new_one_is_whole(web, out):
    path = out / "cat.jpg"
    path.write_bytes(b"mine")
    url = web.has("/cat.jpg", DATA)
    for fault in (answer(404), Fault(cut=1000), answer(200, OTHER)):
        web.first(fault)
        refused(url, path, overwrite=True, retries=0, sha1_hash=sha1(DATA))
        assert path.read_bytes() == b"mine"


def test_a_terminal_gets_a_bar_and_others_get_nothing(web, out, monkeypatch, capsys):
    url = web.has("/cat.jpg", DATA)
    download(url, out)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys, "stderr", Screen())
    download(url, out, overwrite=True)
    assert "cat.jpg" in sys.stderr.getvalue()
    assert "300.0/300.0 kB" in sys.stderr.getvalue()


# Going on -------------------------------------------------------------------------------------------------------------


def test_a_broken_download_goes_on_where_it_stopped(web, out):
    url = web.has("/cat.jpg", DATA)
    web.first(Fault(cut=100_000), Fault(cut=50_000), answer(503), Fault(cut=0))
    assert Path(download(url, out)).read_bytes() == DATA
    assert web.ranges() == [None, "bytes=100000-", "bytes=150000-", "bytes=150000-", "bytes=150000-"]
    assert {request.if_range for request in web.requests} == {None, '"one"'}
    assert names(out) == ["cat.jpg"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cuts=some.lists(some.sampled_from([0, 1, 2, 999, 65_535, 65_536, 65_537, 131_072, 299_999, 300_000]), max_size=5),
    etag=some.sampled_from(['"one"', 'W/"one"', ""]),
    ranges=some.booleans(),
)
def test_whatever_breaks_the_bytes_are_right(web, tmp_path_factory, cuts, etag, ranges):
    folder = tmp_path_factory.mktemp("out")
    url = web.has("/cat.jpg", DATA, etag, ranges=ranges)
    web.first(*(Fault(cut=cut) for cut in cuts))
    assert Path(download(url, folder)).read_bytes() == DATA
    assert names(folder) == ["cat.jpg"]


def test_a_connection_that_is_reset(web, out):
    url = web.has("/cat.jpg", DATA)
    web.first(Fault(cut=100_000, then="reset"), Fault(b"", then="reset"))
    assert Path(download(url, out)).read_bytes() == DATA


def test_of_a_connection_that_stalls_no_byte_is_lost(web, out, monkeypatch):
    monkeypatch.setattr(fetch, "TIMEOUT", 0.2)
    start = time.monotonic()
    url = web.has("/cat.jpg", DATA)
    web.first(Fault(cut=100_000, then="stall"), Fault(b"HTTP/1.1 200", then="stall"))
    assert Path(download(url, out)).read_bytes() == DATA
    assert web.ranges() == [None, "bytes=100000-", "bytes=100000-"]
    web.always(itertools.repeat(Fault(b"", then="stall")))
    refused(url, out / "x", "broke off, 2 times: try again later", retries=1)
    assert time.monotonic() - start < 20, "a stall is over when we say so; this server's would last 30 seconds"


def test_the_next_call_goes_on_where_the_last_one_gave_up(web, out):
    url = web.has("/cat.jpg", DATA)
    web.first(Fault(cut=100_000), Fault(cut=100_000))
    refused(url, out / "cat.jpg", "broke off, 2 times: try again later", retries=1)
    (left,) = names(out)
    assert (left[0], left[-5:], (out / left).read_bytes()) == (".", ".part", DATA[:200_000])
    web.requests.clear()
    web.first(None, Fault(cut=10), answer(404))
    refused(url, out / "cat.jpg", "404")
    assert (out / left).read_bytes() == DATA[:200_010], "a third goes on where the second gave up"
    assert Path(download(url, out)).read_bytes() == DATA
    assert web.ranges() == [None, "bytes=200000-", "bytes=200010-", None, "bytes=200010-"]
    assert names(out) == ["cat.jpg"]


def test_what_cannot_be_reached_takes_nothing_away(web, out):
    url = web.has("/cat.jpg", DATA)
    web.first(Fault(cut=100_000), answer(503))
    refused(url, out / "cat.jpg", "broke off: try again later", retries=0)
    left = names(out)
    refused(url, out / "cat.jpg", "answered 503: try again later", retries=0)
    assert names(out) == left


def test_an_interrupted_download_is_kept(web, out, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    url = web.has("/cat.jpg", DATA)
    web.first(Fault(cut=100_000))
    monkeypatch.setattr(fetch.time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        download(url, out)
    assert [(out / name).stat().st_size for name in names(out)] == [100_000]
    download(url, out)
    assert web.ranges()[-1] == "bytes=100000-"
    assert names(out) == ["cat.jpg"]


@pytest.mark.parametrize(
    ("etag", "options"),
    [('W/"one"', {}), ("", {}), ("one", {}), ('"one"', {"Accept_Ranges": "none"}), ('"one"', {"ranges": False})],
)
def test_what_cannot_be_resumed_is_not_left(web, out, etag, options):
    url = web.has("/cat.jpg", DATA, etag, **options)
    web.always(itertools.repeat(Fault(cut=100_000)))
    refused(url, out / "cat.jpg", "broke off, 4 times", retries=3)
    assert names(out) == []


def test_parts_of_two_addresses_are_never_taken_for_each_other(web, out):
    first, second = web.has("/a.jpg", DATA, '"1"'), web.has("/b.jpg", OTHER, '"1"')
    web.first(Fault(cut=100_000))
    refused(first, out / "x", retries=0)
    assert Path(download(second, out / "x")).read_bytes() == OTHER
    assert names(out) == ["x"]


@pytest.mark.parametrize("etag", ['"two"', 'W/"one"', 'W/"two"', ""])
@pytest.mark.parametrize("between", ["attempts", "calls"])
def test_two_versions_are_never_mixed(web, out, etag, between):
    url = web.has("/cat.jpg", DATA)

    def faults():
        yield Fault(cut=100_000)
        web.has("/cat.jpg", OTHER, etag)
        yield Fault(cut=50_000)

    web.always(faults())
    if between == "calls":
        refused(url, out / "cat.jpg", retries=0)
    assert Path(download(url, out)).read_bytes() == OTHER
    assert names(out) == ["cat.jpg"]


def test_a_version_that_came_in_between_is_gone_on_with(web, out):
    url = web.has("/cat.jpg", DATA)

    def faults():
        yield Fault(cut=100_000)
        web.has("/cat.jpg", OTHER, '"two"')
        yield Fault(cut=50_000)

    web.always(faults())
    assert Path(download(url, out)).read_bytes() == OTHER
    assert [(request.range, request.if_range) for request in web.requests[1:]] == [
        ("bytes=100000-", '"one"'),
        ("bytes=50000-", '"two"'),
    ]


@pytest.mark.parametrize("etag", ['"two"', ""])
def test_what_is_left_of_an_old_version_goes(web, out, etag):
    url = web.has("/cat.jpg", DATA)
    web.first(Fault(cut=100_000), None, Fault(cut=50_000))
    refused(url, out / "cat.jpg", retries=0)
    (old,) = names(out)
    web.has("/cat.jpg", OTHER, '"two"')
    web.first(Fault(cut=50_000))
    refused(url, out / "cat.jpg", retries=0)
    (new,) = names(out)
    assert (new != old, (out / new).read_bytes()) == (True, OTHER[:50_000])
    web.has("/cat.jpg", OTHER, etag)
    download(url, out)
    assert names(out) == ["cat.jpg"]


def test_only_what_is_ours_is_cleared_away(web, out):
    version = "0123456789ab"
    others = [".cat[1].jpg.part", ".cat[1].jpg.12-34.part", f".cat1.jpg.{version}.part", f"cat[1].jpg.{version}.part"]
    for name in others:
        (out / name).write_bytes(b"other")
    (out / f".cat[1].jpg.{version}.part").write_bytes(b"of an old version")
    download(web.has("/cat[1].jpg", DATA), out)
    assert names(out) == sorted([*others, "cat[1].jpg"])


def test_a_part_that_is_longer_than_the_file_is_thrown_away(web, out):
    url = web.has("/cat.jpg", DATA)
    web.first(Fault(cut=100_000))
    refused(url, out / "cat.jpg", retries=0)
    (left,) = names(out)
    (out / left).write_bytes(DATA * 2)
    assert Path(download(url, out, retries=1)).read_bytes() == DATA
    assert web.ranges()[1:] == [None, "bytes=600000-", None]


def test_a_damaged_part_is_found_by_its_hash_and_thrown_away(web, out):
    url = web.has("/cat.jpg", DATA)
    web.first(Fault(cut=100_000))
    refused(url, out / "cat.jpg", retries=0)
    (left,) = names(out)
    (out / left).write_bytes(OTHER[:100_000])
    refused(url, out / "cat.jpg", f"instead of {sha1(DATA)}", sha1_hash=sha1(DATA))
    assert names(out) == []
    assert Path(download(url, out, sha1_hash=sha1(DATA))).read_bytes() == DATA


def test_two_threads_at_once(web, out):
    url = web.has("/cat.jpg", DATA)
    web.first(*(Fault(cut=100_000) for _ in range(6)))
    together, found = threading.Barrier(4), []

    def one():
        together.wait()
        found.append(download(url, out, overwrite=True, retries=6))

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == [str(out / "cat.jpg")] * 4
    assert (out / "cat.jpg").read_bytes() == DATA
    assert names(out) == ["cat.jpg"]


def test_of_two_calls_one_gets_what_a_third_has_left(web, out, monkeypatch):
    def too_late(part):
        part.left_over.unlink()  # the other call took it after this one saw it
        claim(part)

    url = web.has("/cat.jpg", DATA)
    web.first(Fault(cut=100_000))
    refused(url, out / "cat.jpg", retries=0)
    claim = fetch._Part.claim
    monkeypatch.setattr(fetch._Part, "claim", too_late)
    assert Path(download(url, out)).read_bytes() == DATA
    assert web.ranges() == [None, None, None]


# Servers that do odd things -------------------------------------------------------------------------------------------


def test_a_server_that_answers_with_another_part(web, out):
    url = web.has("/cat.jpg", DATA)
    wrong = answer(206, DATA[5:], Content_Range=f"bytes 5-299999/{len(DATA)}", ETag='"one"')
    for odd in (
        wrong,
        answer(206, DATA[100_000:], ETag='"one"'),
        answer(206, DATA[100_000:], Content_Range="bytes 100000-299999/*", ETag='"one"'),
        answer(206, OTHER[100_000:], Content_Range="bytes 100000-299999/300000", ETag='"two"'),
        answer(206, OTHER[100_000:], Content_Range="bytes 100000-299999/300000", ETag='W/"one"'),
        answer(206, DATA[100_000:] + b"more", Content_Range="bytes 100000-299999/300000", ETag='"one"'),
        answer(416, Content_Range="bytes */300000"),
    ):
        web.first(Fault(cut=100_000), odd)
        assert Path(download(url, out, overwrite=True)).read_bytes() == DATA
        assert web.ranges()[-3:] == [None, "bytes=100000-", None]
    web.always(itertools.repeat(wrong))
    refused(url, out / "x", "sent another part than was asked for, 3 times: try again later", retries=2)
    assert names(out) == ["cat.jpg"]


def test_a_server_that_gives_only_some_at_a_time(web, out):
    url = web.has("/cat.jpg", DATA)
    web.first(
        answer(206, DATA[:100_000], Content_Range="bytes 0-99999/300000", ETag='"one"'),
        answer(206, DATA[100_000:200_000], Content_Range="bytes 100000-199999/300000"),
    )
    assert Path(download(url, out)).read_bytes() == DATA
    assert web.ranges() == [None, "bytes=100000-", "bytes=200000-"]


def test_a_length_that_is_too_large_is_a_broken_download(web, out):
    web.always(itertools.repeat(answer(200, DATA, Content_Length=str(len(DATA) + 1))))
    refused(web.at("/cat.jpg"), out / "cat.jpg", "broke off, 6 times: try again later")
    assert (names(out), len(web.requests)) == ([], 6)
    web.first(answer(200, DATA, Content_Length=str(len(DATA) + 1), ETag='"one"'))
    web.has("/cat.jpg", DATA)
    assert Path(download(web.at("/cat.jpg"), out)).read_bytes() == DATA, "a 416 starts it over"


def test_a_length_that_is_too_small_is_the_length_and_a_hash_finds_it(web, out):
    web.always(itertools.repeat(answer(200, DATA, Content_Length="1000")))
    assert Path(download(web.at("/cat.jpg"), out)).read_bytes() == DATA[:1000]
    refused(web.at("/dog.jpg"), out / "dog.jpg", f"SHA-1 {sha1(DATA[:1000])} instead of", sha1_hash=sha1(DATA))
    assert names(out) == ["cat.jpg"]


@pytest.mark.parametrize("length", ["abc", "-5", "+5", "5, 5", "1_0", "", "9" * 5000])
def test_a_length_that_is_none_is_refused(web, out, length):
    web.always(itertools.repeat(answer(200, DATA, Content_Length=length)))
    refused(web.at("/cat.jpg"), out / "cat.jpg", "the length", "fetch it by other means")
    assert names(out) == []


def test_without_a_length_the_end_of_the_connection_is_the_end(web, out):
    web.first(answer(200, DATA, Connection="close"))
    assert Path(download(web.at("/cat.jpg"), out)).read_bytes() == DATA


def test_chunks(web, out):
    web.first(chunked(DATA[:1000], DATA[1000:]), chunked(DATA, Content_Length="5"))
    assert Path(download(web.at("/cat.jpg"), out)).read_bytes() == DATA
    assert Path(download(web.at("/dog.jpg"), out)).read_bytes() == DATA, "chunks outweigh a length (RFC 9112, §6.3)"


@pytest.mark.parametrize("end", [-1, -8, 500, 0])
def test_chunks_that_break_off_are_noticed(web, out, end):
    whole = chunked(DATA[:1000], DATA[1000:], whole=False).raw or b""
    head = whole.index(b"\r\n\r\n") + 4
    broken = Fault(whole[: head + end] if end >= 0 else whole[:end])
    web.always(itertools.repeat(broken))
    refused(web.at("/cat.jpg"), out / "cat.jpg", "broke off, 2 times", retries=1)
    assert names(out) == []
    web.first(chunked(DATA[:1000], DATA[1000:5000], whole=False, ETag='"one"'))
    web.requests.clear()
    assert Path(download(web.has("/cat.jpg", DATA), out)).read_bytes() == DATA
    assert web.ranges() == [None, "bytes=5000-"]


def test_compression_that_was_not_asked_for_is_refused(web, out):
    web.has("/cat.jpg", gzip.compress(DATA), Content_Encoding="gzip")
    refused(web.at("/cat.jpg"), out / "cat.jpg", "sent compressed")
    assert (names(out), len(web.requests)) == ([], 1)
    assert Path(download(web.has("/dog.jpg", DATA, Content_Encoding="Identity"), out)).read_bytes() == DATA


@pytest.mark.parametrize("raw", [b"", b"\0\1\2", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\nA: b"])
def test_what_is_no_http_is_tried_again(web, out, raw):
    web.first(Fault(raw))
    url = web.has("/cat.jpg", b"" if raw.endswith(b"b") else DATA)
    assert Path(download(url, out)).read_bytes() == web.pages["/cat.jpg"].data
    web.always(itertools.repeat(Fault(b"x" * 70_000)))
    refused(web.at("/x"), out / "x", "broke off, 2 times", retries=1)


# Refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 451, 499, 501, 201, 202, 204, 300, 304])
def test_a_refusal_is_final(web, out, status):
    web.always(itertools.repeat(answer(status)))
    refused(web.at("/cat.jpg"), out / "cat.jpg", web.at("/cat.jpg"), "check the address")
    assert (names(out), len(web.requests)) == ([], 1)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_server_in_trouble_is_asked_again(web, out, status):
    url = web.has("/cat.jpg", DATA)
    web.first(answer(status), answer(status))
    assert Path(download(url, out, retries=2)).read_bytes() == DATA
    web.always(itertools.repeat(answer(status)))
    refused(url, out / "x", f"answered {status}, 3 times: try again later", retries=2)
    assert names(out) == ["cat.jpg"]


def test_retries_are_counted_and_wait_longer_each_time(web, out, monkeypatch):
    waits: list[float] = []
    monkeypatch.setattr(fetch, "WAIT", 0.5)
    monkeypatch.setattr(fetch.time, "sleep", waits.append)
    web.always(itertools.repeat(answer(503)))
    refused(web.at("/x"), out / "x", retries=0)
    assert (len(web.requests), waits) == (1, [])
    refused(web.at("/x"), out / "x")
    assert waits == [0.5, 1, 2, 4, 8]
    refused(CLOSED, out / "x", "cannot be reached, 1201 times", retries=1200)
    assert waits[-1] == 10


@pytest.mark.parametrize(
    "url",
    [
        *(
            None,
            Path("cat.jpg"),
            b"http://host/x",
            "cat.jpg",
            "/cat.jpg",
            "",
            "http://",
            "http:///cat.jpg",
            "https:cat.jpg",
            "http://[",
            "http://[::1",
        ),
        *("s3://bucket/cat.jpg", "file:///etc/passwd", "ftp://host/cat.jpg", "data:,x", "http://host:port/cat.jpg"),
        *("http://host:99999/cat.jpg", "http://host:0/cat.jpg", "http://host:-1/cat.jpg"),
        *("http://me:secret@127.0.0.1/cat.jpg", "http://a\nb/cat.jpg", "http://host/\0", "http://host/\x7f"),
    ],
)
def test_what_is_no_web_address_is_refused(out, url):
    with pytest.raises(UsageError, match=": (check it|fetch it by other means)") as caught:
        download(url, out / "x")
    assert "secret" not in str(caught.value)
    assert names(out) == []


@pytest.mark.parametrize("host", ["a..b", "a" * 70, "a b", "ü" * 70])
def test_a_host_that_cannot_be_is_refused_at_once(out, host):
    refused(f"http://{host}/cat.jpg", out / "x", "no address: check it")


@pytest.mark.parametrize(
    "options", [{"retries": -1}, {"sha1_hash": "abc"}, {"sha1_hash": "0" * 64}, {"sha1_hash": "x" * 40}]
)
def test_arguments_that_cannot_be_right(web, out, options):
    with pytest.raises(UsageError, match=": give"):
        download(web.has("/cat.jpg", DATA), out, **options)
    assert (names(out), web.requests) == ([], [])


def test_nobody_there(out):
    refused(CLOSED, out / "x", "cannot be reached, 3 times: try again later", retries=2)
    refused(CLOSED, out / "x", "cannot be reached: try again later", retries=0)
    assert names(out) == []


def test_a_hash_that_does_not_match_leaves_nothing(web, out):
    url = web.has("/cat.jpg", DATA)
    refused(url, out / "cat.jpg", f"SHA-1 {sha1(DATA)} instead of {sha1(OTHER)}", sha1_hash=sha1(OTHER))
    assert (names(out), len(web.requests)) == ([], 1)


# Redirects ------------------------------------------------------------------------------------------------------------


def to(place: str, status: int = 302) -> Fault:
    return answer(status, Location=place)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("place", ["{}", "/b/real.jpg", "real.jpg", "../b/real.jpg", "//{}"])
def test_redirects_are_followed_and_the_name_is_that_of_the_address_given(web, out, status, place):
    real = web.has("/b/real.jpg", DATA)
    web.first(to(place.format(real.removeprefix("http://") if place.startswith("/") else real), status))
    assert download(web.at("/b/cat.jpg"), out) == str(out / "cat.jpg")
    assert (out / "cat.jpg").read_bytes() == DATA


def test_a_redirect_to_a_name_with_spaces_and_umlauts(web, out):
    web.has("/ein Käfer.jpg", DATA)
    web.first(Fault("HTTP/1.1 302 Found\r\nLocation: /ein Käfer.jpg\r\nContent-Length: 0\r\n\r\n".encode()))
    assert Path(download(web.at("/cat.jpg"), out)).read_bytes() == DATA


def test_a_range_goes_along_with_a_redirect(web, out):
    web.has("/real.jpg", DATA)
    web.first(to("/1"), to("/real.jpg"), Fault(cut=100_000), to("/2"), to("/real.jpg"))
    assert Path(download(web.at("/cat.jpg"), out)).read_bytes() == DATA
    assert web.ranges() == [None] * 3 + ["bytes=100000-"] * 3


@pytest.mark.parametrize(
    "place",
    [
        *("file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x", "javascript:x", "http://[", "http://a:b/"),
        *("http://a..b/", "http://a b/", "http://\x7f/", "http://", "/again"),
    ],
)
@pytest.mark.parametrize("status", [301, 302, 308])
def test_redirects_that_lead_nowhere_are_refused_at_once(web, out, place, status):
    web.always(itertools.repeat(to(place, status)))
    refused(web.at("/again"), out / "x", "redirects ", "check ")
    assert names(out) == []
    assert len(web.requests) == (5 if place in {"/again", "http://"} else 1)


def test_a_redirect_without_a_place(web, out):
    web.always(itertools.repeat(answer(302)))
    refused(web.at("/x"), out / "x", "redirects")


# HTTPS ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate that nobody has signed, and its key."""
    if not shutil.which("openssl"):
        pytest.skip("there is no openssl here to make a certificate with")
    folder = tmp_path_factory.mktemp("certificate")
    made = (folder / "certificate.pem", folder / "key.pem")
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    command = ["openssl", "req", "-x509", *kind, *subject, "-out", str(made[0]), "-keyout", str(made[1])]
    subprocess.run(command, check=True, capture_output=True)
    return made


@pytest.fixture
def safe(certificate: tuple[Path, Path]) -> Iterator[Web]:
    with Web(certificate=certificate) as server:
        yield server


def test_a_certificate_that_nobody_signed_is_refused_at_once(safe, out):
    url = safe.has("/cat.jpg", DATA)
    refused(url, out / "cat.jpg", f"the certificate of {url} is not to be trusted", "verify_ssl=False")
    assert (names(out), safe.requests) == ([], [])


def test_a_certificate_goes_unchecked_only_aloud(safe, out):
    url = safe.has("/cat.jpg", DATA)
    safe.first(Fault(cut=100_000))
    with pytest.warns(UserWarning, match="the certificate of 127.0.0.1 is not checked") as warned:
        assert Path(download(url, out, verify_ssl=False)).read_bytes() == DATA
    assert warned[0].filename == __file__
    assert safe.ranges() == [None, "bytes=100000-"]
    download(url, out, verify_ssl=False)  # nothing is fetched: nothing to warn of


def test_a_certificate_that_is_trusted(safe, out, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    url = safe.has("/cat.jpg", DATA)
    assert Path(download(url, out)).read_bytes() == DATA
    refused(url.replace("127.0.0.1", "localhost"), out / "x", "not to be trusted")  # it is somebody else's


def test_https_never_leads_to_http(safe, web, out, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    plain = web.has("/cat.jpg", DATA)
    safe.first(to("/again"), to(plain))
    refused(safe.at("/cat.jpg"), out / "x", f"redirects to {plain}, which is not safe to follow")
    assert web.requests == []
    web.first(to(safe.has("/cat.jpg", OTHER)))
    assert Path(download(plain, out)).read_bytes() == OTHER, "the other way round is fine"


def test_http_where_https_was_said(web, out):
    url = web.has("/cat.jpg", DATA).replace("http:", "https:")
    refused(url, out / "x", "cannot be reached: try again later", retries=0)


# This side ------------------------------------------------------------------------------------------------------------


def test_a_path_that_cannot_be_written(web, out):
    (out / "file").write_bytes(b"in the way")
    url = web.has("/cat.jpg", DATA)
    refused(url, out / "file" / "cat.jpg", f"{out / 'file' / 'cat.jpg'} cannot be written, ", ": check the path")
    refused(url, out / "file" / "a" / "cat.jpg", ": check the path")
    refused(url, out / ("x" * 230), "File name too long: check the path")  # the part's name would be
    with pytest.raises(DownloadError, match="File name too long"):
        download(url, out / ("x" * 300))
    assert (names(out), web.requests) == (["file"], [])


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.EACCES, "Permission denied: check the path"),
        (errno.EROFS, "Read-only file system: check the path"),
        (errno.EDQUOT, "the disk is full: make room"),
    ],
)
def test_a_folder_that_may_not_be_written(web, out, monkeypatch, code, said):
    def fail(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.chdir(out)
    url = web.has("/cat.jpg", DATA)
    monkeypatch.setattr(Path, "open", fail)
    refused(url, out / "cat.jpg", f"{out / 'cat.jpg'} cannot be written, {said}")
    with pytest.raises(DownloadError, match=f"the working folder cannot be written, {said}"):
        download(url)
    assert (names(out), len(web.requests)) == ([], 2)


@pytest.mark.parametrize("path", ["folder", "pipe", "a\0b"])
def test_a_path_that_is_no_files_is_never_replaced(web, out, path):
    (out / "folder" / "cat.jpg").mkdir(parents=True)
    os.mkfifo(out / "pipe")
    for overwrite in (False, True):
        with pytest.raises(UsageError, match="is no path of a file: give another"):
            download(web.has("/cat.jpg", DATA), out / path, overwrite=overwrite)
    assert (names(out), web.requests) == (["folder", "pipe"], [])


class Full:
    """A file on a disk that has room for so many bytes more."""

    room = 100_000

    def __init__(self, file):
        self.file = file

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def tell(self):
        return self.file.tell()

    def write(self, data):
        self.file.write(data[: self.room - self.file.tell()])
        if self.file.tell() == self.room:
            raise OSError(errno.ENOSPC, "No space left on device")


def test_a_disk_that_is_full_is_said_and_what_arrived_is_gone_on_with(web, out, monkeypatch):
    url = web.has("/cat.jpg", DATA)
    with monkeypatch.context() as patched:
        opened = Path.open
        patched.setattr(Path, "open", lambda path, mode: Full(opened(path, mode)))
        refused(url, out / "cat.jpg", f"{out / 'cat.jpg'} cannot be written, the disk is full: make room")
    assert len(web.requests) == 1, "trying again makes no room"
    assert Path(download(url, out)).read_bytes() == DATA
    assert web.ranges() == [None, None, "bytes=100000-"]


def test_trouble_of_the_network_is_not_taken_for_the_disks(web, out, monkeypatch):
    def unreachable(*_):
        raise OSError(errno.EHOSTUNREACH, "No route to host")

    url = web.has("/cat.jpg", DATA)
    monkeypatch.setattr(fetch.http.client.HTTPResponse, "read1", unreachable)
    refused(url, out / "cat.jpg", "broke off, 2 times: try again later", retries=1)


def test_every_error_is_ours(web, out):
    odd = ["http://\ud800/x", "http://h/\ud800", "\0", "http://\0/x", "http://%00/x", "http://[v1.x]/", "https://%zz/"]
    for url in odd:
        with pytest.raises(GlimpseError):
            download(url, out / "x", retries=0)
    assert names(out) == []
