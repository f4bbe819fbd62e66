import base64
import datetime as dt
import decimal
import json
import sys
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from glimpse.errors import BadItem, MissingExtra, UsageError
from glimpse.sources import table
from glimpse.values import Failure, Item, Selection


def listed(path, **selection):
    return list(table.items(str(path), Selection(**selection)))


def parquet(path, columns, **options):
    pq.write_table(pa.table(columns), path, **options)
    return path


def write(path, text):
    path.write_text(text)
    return path


def test_a_path_becomes_a_file_of_this_machine(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"A")
    found = listed(
        write(tmp_path / "x.csv", f"file_name,caption\nin/a.png,one\n{tmp_path}/in/../in/a.png,two\nnone.png,\n")
    )
    stamp = (tmp_path / "in" / "a.png").stat().st_mtime_ns
    where = f"{tmp_path}/in/a.png"
    assert found[0] == Item(where, 1, stamp, ("folder", where), {"caption": "one"})
    assert found[1] == Item(where, 1, stamp, ("folder", where), {"caption": "two"})
    assert (found[2].key, found[2].size, found[2].mtime_ns) == (f"{tmp_path}/none.png", -1, 0)


def test_an_address_becomes_an_object_that_nobody_was_asked_about(tmp_path):
    (item,) = listed(write(tmp_path / "x.tsv", "URL\tTEXT\nhttps://host/a,b.jpg?x=1\ta dog\n"))
    assert item == Item("https://host/a,b.jpg?x=1", -1, 0, ("remote", "https://host/a,b.jpg?x=1"), {"TEXT": "a dog"})


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "ndjson", "parquet"])
def test_bytes_in_every_kind_of_table(tmp_path, kind):
    data = [bytes([number]) * 20 for number in range(70)]
    coded = [base64.b64encode(one).decode() for one in data]
    path = tmp_path / f"x.{kind}"
    if kind == "parquet":
        parquet(path, {"image_bytes": data, "name": [f"n{x}" for x in range(70)]}, row_group_size=20)
    elif kind.endswith("sv"):
        sign = "," if kind == "csv" else "\t"
        write(path, "\n".join([f"image_bytes{sign}name", *(f'"{one}"{sign}n{x}' for x, one in enumerate(coded))]))
    else:
        write(path, "\n".join(json.dumps({"image_bytes": one, "name": f"n{x}"}) for x, one in enumerate(coded)))
    found = listed(path)
    assert [item.key for item in found] == [f"{path}#{x}" for x in range(70)]
    assert [item.key for item in listed(path, key_column="name")] == [f"{path}#n{x}" for x in range(70)]
    assert {item.size for item in found} == {20}
    assert len({item.mtime_ns for item in found}) == 70
    assert found[3].metadata == {"name": "n3"}
    order = [*range(70), 69, 0, 45, 3, 44]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda x: table.read(*found[x].origin[1:]), order)) == [data[x] for x in order]


def test_a_changed_cell_has_another_number(tmp_path):
    path = tmp_path / "x.parquet"
    before = listed(parquet(path, {"bytes": [b"old", b"same"]}))
    after = listed(parquet(path, {"bytes": [b"new", b"same"]}))
    assert [one.mtime_ns == two.mtime_ns for one, two in zip(before, after, strict=True)] == [False, True]
    assert table.read(*after[0].origin[1:]) == b"new"


def test_the_struct_of_datasets(tmp_path):
    (tmp_path / "a.png").write_bytes(b"A")
    path = parquet(
        tmp_path / "x.parquet",
        {"image": [{"bytes": b"B", "path": "a.png"}, {"bytes": None, "path": "a.png"}, None], "label": [1, 2, 3]},
    )
    held, named, empty = listed(path)
    assert (held.key, held.metadata, table.read(*held.origin[1:])) == (f"{path}#0", {"label": 1}, b"B")
    assert named.key == f"{tmp_path}/a.png"
    assert (empty.key, empty.code) == (f"{path}#2", "empty")


def test_metadata_are_plain_values_of_json(tmp_path):
    columns = {
        "path": ["a"],
        "f": [float("nan")],
        "day": [dt.date(2020, 1, 2)],
        "at": pa.array([1_000_000_001], pa.timestamp("ns", "UTC")),
        "far": pa.array([2**60], pa.timestamp("us")),
        "list": [["x", None]],
        "inner": [{"a": 1, "b": 0.5}],
        "price": [decimal.Decimal("1.50")],
        "raw": [b"bytes"],
        "deep": [{"image": {"bytes": b"x"}}],
        "none": pa.nulls(1),
        "ok": [True],
    }
    (item,) = listed(parquet(tmp_path / "x.parquet", columns))
    wanted = {"f": None, "day": "2020-01-02", "at": "1970-01-01T00:00:01+00:00", "far": None, "list": ["x", None]}
    wanted |= {"inner": {"a": 1, "b": 0.5}, "price": "1.50", "none": None, "ok": True}
    assert item.metadata == wanted
    (item,) = listed(
        write(tmp_path / "x.jsonl", '{"path": "a", "x": 1e999, "half": "\\ud800", "big": 12345678901234567890}')
    )
    assert item.metadata == {"x": None, "half": "?", "big": 12345678901234567890}


def test_rows_that_cannot_be_used_are_failures(tmp_path):
    lines = [
        '{"bytes": "YQ=="}',
        "{broken",
        "[1]",
        "",
        '{"bytes": ""}',
        '{"other": 1}',
        '{"bytes": "%"}',
        '{"bytes": 7}',
        "\xff\x00",
    ]
    path = tmp_path / "x.jsonl"
    path.write_bytes("\n".join(lines).encode("latin-1"))
    found = listed(path)
    codes = [one.code if isinstance(one, Failure) else "" for one in found]
    assert codes == ["", "corrupt", "corrupt", "empty", "empty", "corrupt", "corrupt", "corrupt"]
    assert [one.key for one in found] == [f"{path}#{x}" for x in range(8)]
    path = write(tmp_path / "x.csv", "path,n\na,1\nb\nc,1,2\nftp://me:secret@host/x,1\nlast,2\n")
    found = listed(path)
    assert [one.code if isinstance(one, Failure) else "" for one in found] == [
        "",
        "corrupt",
        "corrupt",
        "unreadable",
        "",
    ]
    assert "secret" not in str(found)


def test_which_column(tmp_path):
    path = write(tmp_path / "x.csv", "Caption,Image_Path,url\na dog,a.png,https://host/b\n")
    assert [item.key for item in listed(path)] == [f"{tmp_path}/a.png"]
    assert [item.key for item in listed(path, column="url")] == ["https://host/b"]
    for selection in ({"column": "none"}, {"key_column": "none"}):
        with pytest.raises(UsageError, match=r"--(key-)?column; it has Caption, Image_Path, url"):
            listed(path, **selection)
    with pytest.raises(UsageError, match="--column; it has a, b"):
        listed(write(tmp_path / "y.csv", "a,b\n1,2\n"))
    with pytest.raises(UsageError, match="--column; it has image, n"):  # a label, by its type
        listed(parquet(tmp_path / "y.parquet", {"image": [1], "n": [2]}))


def test_csv_as_it_comes(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b'\xef\xbb\xbfpath;note\r\n"a;b.png";"two\nlines"\r\n\r\ncaf\xe9.png;x\r\n')
    one, two = listed(path)
    assert (one.key, one.metadata) == (f"{tmp_path}/a;b.png", {"note": "two\nlines"})
    assert two.key == f"{tmp_path}/caf\\xe9.png"
    path.write_bytes("path,n\na,1\n".encode("utf-16"))
    (failure,) = listed(path)
    assert (failure.key, failure.code) == (str(path), "corrupt")


def test_data_urls(tmp_path):
    (item,) = listed(write(tmp_path / "x.jsonl", '{"image": "data:image/png;base64,aGVs bG8="}'))
    assert table.read(*item.origin[1:]) == b"hello"


def test_patterns_are_about_paths_and_addresses(tmp_path):
    path = write(tmp_path / "x.csv", "path\n.hidden/a.jpg\nold/b.jpg\nhttps://host/c.jpg\nd.png\n")
    found = listed(path, include=("*.jpg",), exclude=("old/",))
    assert [item.key for item in found] == [f"{tmp_path}/.hidden/a.jpg", "https://host/c.jpg"]


def test_tables_that_cannot_be_read(tmp_path):
    for name, text, code in (
        ("a.parquet", "no parquet", "corrupt"),
        ("b.parquet", "", "empty"),
        ("c.csv", "", "empty"),
    ):
        (failure,) = listed(write(tmp_path / name, text))
        assert (failure.key, failure.code) == (f"{tmp_path}/{name}", code)
    path = parquet(
        tmp_path / "x.parquet",
        {"bytes": [bytes([x]) * 5000 for x in range(200)]},
        row_group_size=50,
        compression="snappy",
    )
    data = bytearray(path.read_bytes())
    data[len(data) * 3 // 4 : len(data) * 3 // 4 + 300] = b"\xff" * 300
    path.write_bytes(data)
    *_, last = listed(path)
    assert isinstance(last, Item) or last.code == "corrupt"
    with pytest.raises(UsageError, match="check the name"):
        listed(tmp_path / "none.csv")


def test_without_pyarrow(tmp_path, monkeypatch):
    path = parquet(tmp_path / "x.parquet", {"path": ["a"]})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"needs pyarrow: pip install 'glimpse-search\[parquet\]'"):
        listed(path)


def test_what_is_gone(tmp_path):
    path = parquet(tmp_path / "x.parquet", {"bytes": [b"a", b"b"], "id": [10, 20]})
    numbered, named = listed(path), listed(path, key_column="id")
    assert [item.key for item in named] == [f"{path}#10", f"{path}#20"]
    parquet(path, {"bytes": [b"b"], "id": [20]})
    assert [table.is_gone(*item.origin[1:]) for item in numbered] == [False, True]
    assert [table.is_gone(*item.origin[1:]) for item in named] == [True, False]
    with pytest.raises(BadItem) as caught:
        table.read(*numbered[1].origin[1:])
    assert caught.value.code == "vanished"
    path.write_bytes(b"damaged")
    assert not table.is_gone(*named[0].origin[1:])
    path.unlink()
    assert table.is_gone(*named[0].origin[1:])


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_rows_with_a_name_that_is_there_already_are_failures(tmp_path, kind):
    data, ids = [b"a", b"b", b"c", b"d"], [2, 1, 2, None]
    path = tmp_path / f"x.{kind}"
    if kind == "parquet":
        parquet(path, {"bytes": data, "id": ids})
    else:
        coded = [base64.b64encode(one).decode() for one in data]
        write(path, "\n".join(json.dumps({"bytes": x, "id": y}) for x, y in zip(coded, ids, strict=True)))
    two, one, again, unnamed = listed(path, key_column="id")
    assert (two.key, one.key, table.read(*two.origin[1:])) == (f"{path}#2", f"{path}#1", b"a")
    assert (again.key, again.code) == (f"{path}#row 2", "corrupt")  # another one than the item's
    assert "same name" in again.message
    assert (unnamed.key, unnamed.code) == (f"{path}#row 3", "empty")
    assert all(table.covers(str(path), found.key) for found in (two, one, again, unnamed))
    assert len(listed(path)) == 4


def test_a_row_may_name_a_file_that_another_names_too(tmp_path):
    path = write(tmp_path / "x.csv", "path,id\na.png,1\na.png,1\n")
    assert [item.key for item in listed(path, key_column="id")] == [f"{tmp_path}/a.png"] * 2


def test_one_strange_address_is_a_failure_and_the_rest_goes_on(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b"url\nfoo://bar/x.jpg\nssh://h/x.jpg\nftp://127.0.0.1:9/x.jpg\nhttp://h/\xff.jpg\nlast.jpg\n")
    found = listed(path)
    keys = ["foo://bar/x.jpg", "ssh://h/x.jpg", f"{path}#2", "http://h/\\xff.jpg", f"{tmp_path}/last.jpg"]
    assert [one.key for one in found] == keys
    assert found[2].code == "unreadable"
    assert len(listed(path, include=("*.jpg",))) == 5
    lines = ('{"url": "http://h/\\ud800.jpg"}', '{"url": "\\ud800.jpg"}', '{"url": "ftp://\\ud800"}')
    found = listed(write(tmp_path / "x.jsonl", "\n".join(lines)))
    assert [one.key for one in found[:2]] == ["http://h/\\ud800.jpg", f"{tmp_path}/\\ud800.jpg"]
    for one in found:
        (one.key + getattr(one, "message", "")).encode()
        assert isinstance(one, Failure) or one.origin == tuple(json.loads(json.dumps(one.origin)))


def test_a_run_goes_on_after_strange_addresses(tmp_path, photos, album):
    path = tmp_path / "x.jsonl"
    strange = ["foo://b/x", "ssh://h/x", "ftp://127.0.0.1:9/x", "http://127.0.0.1:1/\\ud800", "\\ud800.jpg"]
    path.write_bytes(
        b"\n".join(b'{"url": "%s"}' % where.encode() for where in (*strange, f"{album}/a.png"))
        + b'\n{"url": "http://127.0.0.1:1/\xff"}'
    )
    for _ in range(2):
        report = photos.index(str(path))
        assert (report.indexed + report.unchanged, len(report.failures)) == (1, 6)
    assert len(photos.failures()) == 6


def test_globs_of_tables(tmp_path):
    for name in ("a", "b"):
        parquet(tmp_path / f"{name}.parquet", {"bytes": [name.encode()]})
    found = listed(tmp_path / "*.parquet")
    assert [item.key for item in found] == [f"{tmp_path}/a.parquet#0", f"{tmp_path}/b.parquet#0"]
    assert all(table.covers(f"{tmp_path}/*.parquet", item.key) for item in found)
    assert not table.covers(f"{tmp_path}/a.parquet", found[1].key)


def test_a_table_is_never_in_memory_as_a_whole(tmp_path):
    data = [bytes([x]) * 250_000 for x in range(200)]
    path = parquet(tmp_path / "x.parquet", {"bytes": data}, row_group_size=20)
    before = pa.total_allocated_bytes()
    most = max(pa.total_allocated_bytes() - before for _ in table.items(str(path)))
    assert most < 20_000_000  # of 50: a page is unpacked as a whole, and may be as large as its row group
