import gc
import logging
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pytest
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer

from glimpse.errors import BadItem, MissingExtra, UsageError
from glimpse.sources import remote
from glimpse.values import Failure, Selection


class Web(ThreadingHTTPServer):
    """`pages`: path → bytes; `asked`: what was asked for, in order."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pages, self.asked, self.etags = {}, [], {}
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        pass  # a client that waits no longer


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        kind = self.path.strip("/")
        if kind == "flaky" and self.server.asked.count(self.path) < 3:
            return self.answer(503)
        if kind == "slow":
            time.sleep(2)
        if kind == "moved":
            return self.answer(302, Location="/here")
        if kind == "broken":
            return self.answer(200, b"half", length=100)
        if kind in {"401", "403", "410", "500"}:
            return self.answer(int(kind))
        page = self.server.pages.get(self.path)
        tag = {"ETag": self.server.etags[self.path]} if self.path in self.server.etags else {}
        return self.answer(404) if page is None else self.answer(200, page, **tag)

    def do_HEAD(self):
        self.do_GET()

    def answer(self, status, body=b"", length=None, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def web():
    server = Web()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def store():
    """An empty store, and a client of it; glimpse finds it by the environment."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    names = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_DEFAULT_REGION": "us-east-1"}
    names["AWS_ENDPOINT_URL"] = f"http://{host}:{port}"
    before = {name: os.environ.get(name) for name in names}
    os.environ |= names
    client = boto3.client("s3")
    try:
        yield client
    finally:
        client.close()
        forget_connections()
        server.stop()
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def forget_connections():
    """fsspec keeps what speaks to a server, with the address it had."""
    sys.modules["s3fs"].S3FileSystem.clear_instance_cache()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(remote, "WAITS", (0.01, 0.01))
    with web() as one:
        yield one


@pytest.fixture(scope="module")
def client():
    with store() as one:
        one.create_bucket(Bucket="pictures")
        yield one


def code_of(url):
    with pytest.raises(BadItem) as caught:
        remote.read(url)
    for raw in ("aiohttp", "Error", "errno", "Traceback", url):
        assert raw not in caught.value.message
    return caught.value.code


def keys(place, **selection):
    return [item.key for item in remote.items(place, Selection(**selection))]


# The web ---------------------------------------------------------------------------------------------------------------


def test_one_address(server):
    server.pages["/a b.jpg?size=1"] = b"x" * 10
    server.pages["/here"] = b"here"
    (item,) = remote.items(f"{server.url}/here")
    assert (item.key, item.size, item.mtime_ns, item.origin) == (
        f"{server.url}/here",
        4,
        0,
        ("remote", f"{server.url}/here"),
    )
    assert remote.read(f"{server.url}/moved") == b"here"
    server.pages["/a%20b.jpg?size=1"] = b"y" * 10
    assert remote.read(f"{server.url}/a b.jpg?size=1") == b"y" * 10


def test_a_changed_page_has_another_stamp(server):
    server.pages["/x"] = b"x"
    stamps = []
    for tag in ('"1"', '"2"', '"2"'):
        server.etags["/x"] = tag
        stamps += [item.mtime_ns for item in remote.items(f"{server.url}/x")]
    assert stamps[0] != stamps[1] == stamps[2] > 0


def test_what_a_server_may_say(server, monkeypatch):
    said = {"none": "vanished", "410": "vanished", "401": "unreadable", "403": "unreadable", "500": "unreadable"}
    for page, code in said.items():
        assert code_of(f"{server.url}/{page}") == code, page
        assert remote.is_gone(f"{server.url}/{page}") == (code == "vanished"), page
        with pytest.raises(UsageError, match="check the name" if code == "vanished" else "refuses|status 500"):
            keys(f"{server.url}/{page}")
    assert code_of(f"{server.url}/broken") == "unreadable"
    assert code_of("http://127.0.0.1:9/x") == "unreadable"
    assert not remote.is_gone("http://127.0.0.1:9/x")


def test_what_passes_is_asked_again(server):
    server.pages["/flaky"] = b"at last"
    assert remote.read(f"{server.url}/flaky") == b"at last"
    assert server.asked == ["/flaky"] * 3
    code_of(f"{server.url}/403")
    assert server.asked.count("/403") == 1


def test_a_slow_server(server, monkeypatch):
    monkeypatch.setattr(remote, "READ", 0.1)
    assert code_of(f"{server.url}/slow") == "timeout"
    assert not remote.is_gone(f"{server.url}/slow")


def test_an_object_that_is_too_large(server, client, monkeypatch):
    monkeypatch.setattr(remote, "MAX_BYTES", 1000)
    server.pages |= {"/fits": b"x" * 1000, "/large": b"x" * 1001}
    assert len(remote.read(f"{server.url}/fits")) == 1000
    assert code_of(f"{server.url}/large") == "memory"
    client.put_object(Bucket="pictures", Key="large/x", Body=b"x" * 1001)
    assert code_of("s3://pictures/large/x") == "memory"


def test_addresses_that_cannot_be_right(server):
    wrong = {"file:///a": "name the path", "zip://a": "no server", "simplecache::s3://a/b": "name the path|no server"}
    wrong |= {
        "foo://a/b": "no kind of server",
        "https://": "names no server",
        "http://[": "check it",
        f"{server.url}/": "does not list",
    }
    for url, why in wrong.items():
        with pytest.raises(UsageError, match=why):
            keys(url)
    for url in ("https://me:secret@host/x", "s3://me:secret@bucket/x"):
        with pytest.raises(UsageError, match="leave the password out") as caught:
            keys(url)
        assert "secret" not in str(caught.value)
    assert remote.item("HTTPS://Host/X").key == "https://Host/X"


@pytest.mark.parametrize("url", ["foo://bar/x.jpg", "ssh://h/x.jpg", "ftp://127.0.0.1:9/x.jpg", "github://h/x.jpg"])
def test_what_nothing_here_opens(url, capfd):
    for _ in range(2):
        with pytest.raises(BadItem, match=r"no kind of server|needs a library") as caught:
            remote.read(url)
        assert caught.value.code == "unreadable"
    assert not remote.is_gone(url)
    with pytest.raises((UsageError, MissingExtra)):  # of a place that is named
        keys(url)
    gc.collect()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("half", "written"), [(0xDCFF, r"\xff"), (0xD800, r"\ud800")])
def test_addresses_that_are_no_utf_8(half, written):
    name = f"{chr(half)}.jpg"
    url = f"http://127.0.0.1:1/{name}"
    item = remote.item(url)
    assert item.key == f"http://127.0.0.1:1/{written}.jpg"
    assert remote.prefix(url) == item.key
    assert remote.covers(url, item.key)
    assert remote.covers(f"s3://b/{name}/*", f"{remote.prefix(f's3://b/{name}')}/x")
    assert code_of(url) == "unreadable"
    assert not remote.is_gone(url)


def test_several_threads_at_once(server, client):
    for number in range(20):
        server.pages[f"/{number}x"] = str(number).encode()
        client.put_object(Bucket="pictures", Key=f"threads/{number}x", Body=str(number).encode())
    urls = [f"{base}/{number}x" for base in (server.url, "s3://pictures/threads") for number in range(20)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(remote.read, urls)) == [str(number).encode() for number in range(20)] * 2


# Stores ----------------------------------------------------------------------------------------------------------------


def test_names_in_a_store(client):
    odd = ("b c#d?e=1&%20[x]*.jpg", "deep/1.jpg", "é 😀.jpg", ".hidden/2.jpg", "deep/3.png", "")
    for name in odd:
        client.put_object(Bucket="pictures", Key=f"odd/{name}", Body=name.encode())
    found = ["b c#d?e=1&%20[x]*.jpg", "é 😀.jpg", "deep/1.jpg", "deep/3.png"]
    assert keys("s3://pictures/odd/") == keys("s3://pictures/odd") == [f"s3://pictures/odd/{name}" for name in found]
    for item in remote.items("s3://pictures/odd/"):
        assert remote.read(item.origin[1]).decode() == item.key.removeprefix("s3://pictures/odd/")
        assert not remote.is_gone(item.origin[1])
    assert "s3://pictures/odd/.hidden/2.jpg" in keys("s3://pictures/odd/", hidden=True)
    assert keys("s3://pictures/odd/", include=("*.png",)) == ["s3://pictures/odd/deep/3.png"]
    assert keys("s3://pictures/odd/", exclude=("deep/",)) == [f"s3://pictures/odd/{name}" for name in found[:2]]
    assert keys("s3://pictures/odd/**/*.jpg")[-1] == "s3://pictures/odd/deep/1.jpg"
    assert keys("s3://pictures/*/deep/*.png") == ["s3://pictures/odd/deep/3.png"]


def test_more_than_one_page_of_names(client):
    (account,) = s3_backends.values()  # the store runs in this process, and a thousand requests take long
    for number in range(1003):
        account["aws"].put_object("pictures", f"many/{number:04}", b"")
    assert len(keys("s3://pictures/many/")) == 1003
    assert remote.read("s3://pictures/many/0000") == b""


def test_an_object_that_changes_and_goes(client):
    stamps = []
    for body in (b"old", b"new"):
        client.put_object(Bucket="pictures", Key="changing/x", Body=body)
        stamps += [item.mtime_ns for item in remote.items("s3://pictures/changing/x")]
    assert stamps[0] != stamps[1]
    client.put_object(Bucket="pictures", Key="changing/x/below", Body=b"")
    client.delete_object(Bucket="pictures", Key="changing/x")
    assert remote.is_gone("s3://pictures/changing/x")  # what is left is a folder
    assert code_of("s3://pictures/changing/x") == "vanished"


def test_places_in_a_store_that_are_not_there(client):
    for place in ("s3://nowhere/", "s3://pictures/none", "s3://pictures/none/", "s3://nowhere/*.jpg"):
        with pytest.raises(UsageError, match="check the name"):
            keys(place)


def test_a_part_that_is_refused_is_a_failure(client, monkeypatch):
    for key in ("refused/a/1", "refused/b/2"):
        client.put_object(Bucket="pictures", Key=key, Body=b"")
    real = remote._system("s3://pictures")

    class Refusing:
        def __getattr__(self, name):
            return getattr(real, name)

        def ls(self, path, **options):
            if path.endswith("/a"):
                raise PermissionError("raw text")
            return real.ls(path, **options)

    monkeypatch.setattr(remote, "_system", lambda _: Refusing())
    closed, item = remote.items("s3://pictures/refused/")
    assert isinstance(closed, Failure)
    assert (closed.key, closed.code, item.key) == ("s3://pictures/refused/a", "unreadable", "s3://pictures/refused/b/2")
    assert "raw" not in closed.message


def test_without_credentials(client, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    forget_connections()
    try:
        with pytest.raises(UsageError, match="credentials"):
            keys("s3://pictures/odd/")
    finally:
        forget_connections()


# Libraries -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("library", "url"), [("gcsfs", "gs://b/"), ("s3fs", "s3://b/"), ("fsspec", "gs://b/"), ("aiohttp", "https://a/b")]
)
def test_a_library_that_is_missing(library, url, monkeypatch):
    for name in [name for name in sys.modules if name == library or name.startswith(f"{library}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    if library != "fsspec":
        monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, url.partition(":")[0], raising=False)
    with pytest.raises(MissingExtra, match=r"pip install 'glimpse-search\[remote\]'"):
        keys(url)


def test_what_google_s_library_raises(monkeypatch):
    from gcsfs.retry import HttpError
    from google.auth.exceptions import DefaultCredentialsError, RefreshError

    class Google:
        def __init__(self, error):
            self.error = error

        def ls(self, *_, **__):
            raise self.error

        cat_file = info = ls

    said = {
        HttpError({"code": 401, "message": "raw"}): "unreadable",
        HttpError({"code": 404, "message": "raw"}): "vanished",
    }
    said |= {
        DefaultCredentialsError("raw"): "unreadable",
        RefreshError("raw"): "unreadable",
        FileNotFoundError("raw"): "vanished",
    }
    for error, code in said.items():
        monkeypatch.setattr(remote, "_system", lambda _, error=error: Google(error))
        assert code_of("gs://bucket/x") == code, error
        with pytest.raises(UsageError, match="check the (name|credentials)") as caught:
            keys("gs://bucket/a/")
        assert "raw" not in str(caught.value)
