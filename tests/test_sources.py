"""One contract for every source, and what is only so of files and folders."""

import base64
import io
import json
import os
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

import test_remote
from glimpse import registry, sources
from glimpse.errors import BadItem, UsageError
from glimpse.sources import folder
from glimpse.values import FAILURE_CODES, Failure, Item, Selection


@dataclass
class Place:
    """A place with two things, `one` and `two`: what they hold, whether the place may forget them, how they go away."""

    place: str
    remove: object
    kind: str
    owns: bool = True
    reads: tuple = (b"one", b"two")


def make_tar(path, members):
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 1_700_000_000
            tar.addfile(info, io.BytesIO(data))
    return path


def a_folder(path, stack):
    for name in ("one", "two"):
        (path / name).write_text(name)
    return Place(str(path), lambda: [(path / name).unlink() for name in ("one", "two")], "folder")


def a_glob(path, stack):
    below = a_folder(path, stack)
    return Place(f"{path}/*", below.remove, "folder")


def an_archive(path, stack):
    tar = make_tar(path / "x.tar", {"one.jpg": b"one", "two.jpg": b"two"})
    return Place(str(tar), lambda: make_tar(tar, {"three.jpg": b"3"}), "archive")


def a_table_of_paths(path, stack):
    below = a_folder(path, stack)
    (path / "x.csv").write_text("path,n\none,1\ntwo,2\n")
    return Place(str(path / "x.csv"), below.remove, "table", owns=False)


def a_table_of_bytes(path, stack):
    table = path / "x.jsonl"
    table.write_text("\n".join(json.dumps({"bytes": base64.b64encode(x).decode()}) for x in (b"one", b"two")))
    return Place(str(table), lambda: table.write_text("\n"), "table")


def a_parquet(path, stack):
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = path / "x.parquet"
    pq.write_table(pa.table({"image": [{"bytes": x, "path": None} for x in (b"one", b"two")]}), table)
    return Place(str(table), lambda: pq.write_table(pa.table({"image": [{"bytes": b"x"}]}).slice(0, 0), table), "table")


def a_store(path, stack):
    client = stack.enter_context(test_remote.store())
    client.create_bucket(Bucket="pictures")
    for name in ("one", "two"):
        client.put_object(Bucket="pictures", Key=f"a/{name}", Body=name.encode())
    remove = lambda: [client.delete_object(Bucket="pictures", Key=f"a/{name}") for name in ("one", "two")]  # noqa: E731  (short)
    return Place("s3://pictures/a/", remove, "remote")


def an_address(path, stack):
    server = stack.enter_context(test_remote.web())
    server.pages["/one"] = b"one"
    return Place(f"{server.url}/one", server.pages.clear, "remote", reads=(b"one",))


def a_list(path, stack):
    below = a_folder(path, stack)
    monkeypatch = stack.enter_context(pytest.MonkeyPatch.context())
    text = f"{path}/one\n{path}/two\n".encode()

    class Again:  # the contract lists twice
        @property
        def buffer(self):
            return io.BufferedReader(io.BytesIO(text))

    monkeypatch.setattr(sys, "stdin", Again())
    return Place("-", below.remove, "lines", owns=False)


PLACES = [a_folder, a_glob, an_archive, a_table_of_paths, a_table_of_bytes, a_parquet, a_store, an_address, a_list]


@pytest.fixture(params=PLACES, ids=lambda make: make.__name__)
def place(request, tmp_path):
    from contextlib import ExitStack

    with ExitStack() as stack:
        yield request.param(tmp_path, stack)


def bytes_of(item):
    source = sources.of_origin(item.origin)
    region = source.region(*item.origin[1:])
    if region is None:
        return source.read(*item.origin[1:])
    with Path(region.path).open("rb") as file:
        file.seek(region.offset)
        data = file.read(region.size)
    assert data == source.read(*item.origin[1:])
    return data


def test_every_source_is_in_the_suite(tmp_path):
    named = {name for name in registry.names("sources") if not name.startswith("_")}
    assert named == {"folder", "archive", "table", "remote", "lines"}
    for name in named:
        verbs = vars(registry.find("sources", name))
        assert all(callable(verbs[verb]) for verb in ("items", "prefix", "covers", "region", "read", "is_gone"))


def test_the_contract(place):
    source = sources.of_place(place.place)
    assert isinstance(source, ModuleType)
    assert source.__name__ == f"glimpse.sources.{place.kind}"
    found = list(source.items(place.place, Selection()))
    assert found == list(source.items(place.place, Selection()))
    assert all(isinstance(item, Item) for item in found)
    assert tuple(bytes_of(item) for item in found) == place.reads
    for item in found:
        assert item.size in (-1, len(bytes_of(item)))
        assert 0 <= item.mtime_ns < 2**63
        assert item.origin == tuple(json.loads(json.dumps(item.origin)))
        assert json.loads(json.dumps(item.metadata, allow_nan=False)) == item.metadata
        item.key.encode()
        own = item.key.startswith(source.prefix(place.place)) and source.covers(place.place, item.key)
        assert own == place.owns
        assert not sources.of_origin(item.origin).is_gone(*item.origin[1:])
    assert not source.covers(place.place, "/elsewhere/one")
    assert not source.covers(place.place, f"{source.prefix(place.place)}2/one")
    place.remove()
    for item in found:
        assert sources.of_origin(item.origin).is_gone(*item.origin[1:])


def test_a_place_says_what_it_is(tmp_path):
    (tmp_path / "folder.tar").mkdir()
    kinds = {"-": "lines", "a.TAR": "archive", "a.tar.gz": "archive", "a.tgz": "archive", "x/a.parquet": "table"}
    kinds |= {
        "a.csv": "table",
        "S3://b/a.tar": "remote",
        "a.tar.jpg": "folder",
        "C:/x": "folder",
        str(tmp_path / "folder.tar"): "folder",
    }
    for place, kind in kinds.items():
        assert sources.of_place(place).__name__ == f"glimpse.sources.{kind}", place


# Files and folders -----------------------------------------------------------------------------------------------------


def grow(top, *names):
    for name in names:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(name)


def names(place, top=None, **selection):
    return [os.path.relpath(item.key, top or place) for item in folder.items(place, Selection(**selection))]


def test_files_come_in_order_without_hidden_ones(tmp_path):
    grow(tmp_path, "b/2", "b/1", "a", ".hidden/x", "b/.secret", "c/d/e")
    assert names(tmp_path) == ["a", "b/1", "b/2", "c/d/e"]
    assert names(tmp_path, hidden=True) == ["a", ".hidden/x", "b/.secret", "b/1", "b/2", "c/d/e"]
    item = next(folder.items(str(tmp_path)))
    assert item == Item(f"{tmp_path}/a", 1, (tmp_path / "a").stat().st_mtime_ns, ("folder", f"{tmp_path}/a"))


def test_a_hidden_place_that_is_named_is_meant(tmp_path):
    grow(tmp_path, ".hidden/x", ".hidden/.y")
    assert names(tmp_path / ".hidden") == ["x"]
    assert names(tmp_path / ".hidden" / ".y", tmp_path) == [".hidden/.y"]
    assert names(tmp_path / ".h*" / "x", tmp_path) == [".hidden/x"]


def test_patterns_are_those_of_gitignore(tmp_path):
    grow(tmp_path, "a.jpg", "a.png", "old/b.jpg", "old/keep/c.jpg", "new/old.jpg", "new/old/d.jpg")
    assert names(tmp_path, include=("*.jpg",), exclude=("old/",)) == ["a.jpg", "new/old.jpg"]
    assert names(tmp_path, exclude=("/old", "*.png")) == ["a.jpg", "new/old.jpg", "new/old/d.jpg"]
    assert names(tmp_path, include=("keep/",)) == ["old/keep/c.jpg"]
    assert names(tmp_path / "a.png", include=("*.jpg",)) == []
    assert names(tmp_path, include=("*", "!*.png"))[:1] == ["a.jpg"]
    with pytest.raises(UsageError, match="gitignore"):
        names(tmp_path, include=("!",))


def test_excluded_folders_are_not_looked_into(tmp_path, monkeypatch):
    grow(tmp_path, "a", "no/b", "yes/c")
    real = os.scandir
    monkeypatch.setattr(
        os, "scandir", lambda path: pytest.fail("looked into") if str(path).endswith("no") else real(path)
    )
    assert names(tmp_path, exclude=("no",)) == ["a", "yes/c"]
    assert names(f"{tmp_path}/y*/*", tmp_path) == ["yes/c"]


def test_globs(tmp_path):
    grow(tmp_path, "a.jpg", "b.png", "x/a.jpg", "x/y/a.jpg", "x/y/z.jpg", "x/.h/a.jpg", "odd[1]/a.jpg", "odd1/a.jpg")
    assert names(f"{tmp_path}/*.jpg", tmp_path) == ["a.jpg"]
    assert names(f"{tmp_path}/**/a.jpg", tmp_path) == ["a.jpg", "odd1/a.jpg", "odd[1]/a.jpg", "x/a.jpg", "x/y/a.jpg"]
    assert names(f"{tmp_path}/x/**", tmp_path) == ["x/a.jpg", "x/y/a.jpg", "x/y/z.jpg"]
    assert names(f"{tmp_path}/?/y", tmp_path) == ["x/y/a.jpg", "x/y/z.jpg"]  # a folder that matches, and all in it
    assert names(f"{tmp_path}/odd[1]", tmp_path) == ["odd[1]/a.jpg"]  # it is literally there
    assert names(f"{tmp_path}/odd[1]/*", tmp_path) == ["odd[1]/a.jpg"]
    assert names(f"{tmp_path}/none*") == []
    assert folder.prefix(f"{tmp_path}/x/*.jpg") == f"{tmp_path}/x"
    assert folder.covers(f"{tmp_path}/**/a.jpg", f"{tmp_path}/gone/a.jpg")
    assert not folder.covers(f"{tmp_path}/*.jpg", f"{tmp_path}/gone/a.jpg")
    with pytest.raises(UsageError, match="check the name"):
        names(f"{tmp_path}/nowhere/*.jpg")


def test_a_relative_glob_in_a_folder_with_brackets(tmp_path, monkeypatch):
    grow(tmp_path, "[a]/x.jpg")
    monkeypatch.chdir(tmp_path / "[a]")
    assert [item.key for item in folder.items("*.jpg")] == [f"{tmp_path}/[a]/x.jpg"]


def test_links_sockets_and_pipes(tmp_path):
    grow(tmp_path, "in/a", "out/b")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "b").symlink_to(tmp_path / "out" / "b")
    (tmp_path / "in" / "dangling").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "in" / "pipe")
    found = {os.path.basename(item.key): item for item in folder.items(tmp_path / "in")}
    assert set(found) == {"a", "b", "dangling"}
    assert (found["dangling"].size, found["dangling"].mtime_ns) == (-1, 0)
    with pytest.raises(BadItem) as caught:
        folder.read(found["dangling"].key)
    assert caught.value.code == "vanished"


def test_a_folder_that_cannot_be_listed_is_a_failure(tmp_path, monkeypatch):
    grow(tmp_path, "a/x", "b/y")
    real = os.scandir

    def refuse(path):
        if str(path).endswith("/a"):
            raise PermissionError(13, "no", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", refuse)
    closed, item = folder.items(tmp_path)
    assert isinstance(closed, Failure)
    assert (closed.key, closed.code, item.key) == (f"{tmp_path}/a", "unreadable", f"{tmp_path}/b/y")
    with pytest.raises(UsageError, match="permissions"):
        folder.items(tmp_path / "a")


def test_keys_are_absolute_wherever_one_stands(tmp_path, monkeypatch):
    (tmp_path / "x").write_text("")
    monkeypatch.chdir(tmp_path)
    assert folder.root(".") == folder.root("./y/..") == tmp_path
    assert folder.prefix("x") == next(folder.items("x")).key == f"{tmp_path}/x"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert folder.root("~/x") == tmp_path / "x"


def test_reading_what_cannot_be_read(tmp_path):
    for place, code in ((tmp_path / "gone", "vanished"), (tmp_path, "unreadable"), (Path("nul\0"), "unreadable")):
        with pytest.raises(BadItem) as caught:
            folder.read(place)
        assert caught.value.code == code


def test_a_place_that_is_not_there(tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "nowhere", tmp_path / "file" / "below", "nul\0"):
        with pytest.raises(UsageError, match="check the name"):
            folder.items(place)


def test_what_cannot_be_asked_about_is_not_gone(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "no", path)

    assert folder.is_gone(str(tmp_path / "x"))
    monkeypatch.setattr(os, "lstat", refuse)
    assert not folder.is_gone(str(tmp_path / "x"))


def test_names_that_are_no_text_have_keys_of_their_own(tmp_path):
    odd = [b"\xff.png", rb"\xff.png", rb"\x5cxff.png", rb"\x00", rb"\\xff", b"\\\xff", "é\n.png".encode(), rb"\x41"]
    for name in odd:
        (tmp_path / os.fsdecode(name)).write_bytes(name)
    found = list(folder.items(tmp_path))
    assert len({item.key for item in found}) == len(odd)
    assert {bytes_of(item) for item in found} == set(odd)
    keys = {bytes_of(item): item.key.rpartition("/")[2] for item in found}
    assert (keys[b"\xff.png"], keys[rb"\xff.png"], keys[rb"\x41"]) == (r"\xff.png", r"\x5cxff.png", r"\x41")
    assert all(folder.covers(tmp_path, item.key) and folder.covers(f"{tmp_path}/*", item.key) for item in found)
    assert all(item.origin == tuple(json.loads(json.dumps(item.origin))) for item in found)


def test_halves_of_characters_have_keys_too():
    odd = ["\ud800", r"\ud800", "\udcff", r"\xff", r"\x5cud800", "\udfff", r"\u1234"]
    keys = [folder.key_of(name) for name in odd]
    assert len(set(keys)) == len(odd)
    assert (keys[0], keys[1], keys[-1]) == (r"\ud800", r"\x5cud800", r"\u1234")
    for key in keys:
        key.encode()


def test_a_literal_path_may_have_any_signs_and_be_gone(tmp_path):
    grow(tmp_path, "b[1].jpg", "b1.jpg", "trip [2020]/a.jpg", "trip 2/a.jpg", "x*/y?/.z/a.jpg", "x*/y?/a.jpg")
    assert [item.key for item in folder.items_at(tmp_path / "b[1].jpg")] == [f"{tmp_path}/b[1].jpg"]
    assert [item.key for item in folder.items_at(tmp_path / "x*")] == [f"{tmp_path}/x*/y?/a.jpg"]
    assert len(list(folder.items_at(tmp_path / "x*", Selection(hidden=True)))) == 2
    assert list(folder.items_at(tmp_path / "b1.jpg", Selection(include=("*.png",)))) == []
    with pytest.raises(UsageError, match="check the name"):
        folder.items_at(tmp_path / "b[2].jpg")
    with pytest.raises(UsageError, match="check the name"):
        folder.items_at(tmp_path / "*")
    for path in ("b[1].jpg", "trip [2020]"):
        here = tmp_path / path
        for _ in ("there", "gone"):
            assert folder.prefix_path(here) == f"{tmp_path}/{path}"
            assert folder.covers_path(here, f"{tmp_path}/{path}")
            assert folder.covers_path(f"{here}/", f"{tmp_path}/{path}/a.jpg")
            assert not folder.covers_path(here, f"{tmp_path}/b1.jpg")
            assert not folder.covers_path(here, f"{tmp_path}/{path}2")
            if here.exists():
                here.rename(tmp_path / f"gone {path}")
    assert folder.covers_path("/", "/a")
    assert folder.prefix_path(tmp_path / os.fsdecode(b"\xff")) == f"{tmp_path}/\\xff"


def test_what_a_watcher_sees_is_told_by_its_name(tmp_path):
    grow(tmp_path, "a.jpg")
    for name, meant in (
        ("new.jpg", True),
        ("x/y.jpg", True),
        (".x/y.jpg", False),
        ("no/y.jpg", False),
        ("y.png", False),
    ):
        assert folder.allows(tmp_path, tmp_path / name, Selection(("*.jpg",), ("no/",))) == meant, name
    assert folder.allows(tmp_path, tmp_path / ".x" / "y.jpg", Selection(hidden=True))
    assert folder.allows(f"{tmp_path}/*.jpg", tmp_path / "b.jpg", Selection())
    assert not folder.allows(f"{tmp_path}/*.jpg", tmp_path / "x" / "b.jpg", Selection())
    assert folder.allows(tmp_path / "a.jpg", tmp_path / "a.jpg", Selection())
    assert not folder.allows(tmp_path / "a.jpg", tmp_path / "b.jpg", Selection())
    assert not folder.allows(tmp_path, f"{tmp_path}2/a.jpg", Selection())


def test_every_code_is_known():
    import ast

    for path in Path(sources.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and getattr(node.func, "id", "") == "BadItem"
                and isinstance(node.args[0], ast.Constant)
            ):
                assert node.args[0].value in FAILURE_CODES
