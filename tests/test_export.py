import json
import os

import numpy as np
import pytest

from conftest import noise
from glimpse import export
from glimpse.errors import MissingExtra, UsageError


def test_rows_and_keys_stay_aligned_around_bad_files(tiny, album):
    items = export.files([str(album)])
    seen = []
    embedded = export.pictures(tiny, items, seen.append)
    assert len(items) == 5
    assert embedded.keys == [item.key for item in items if not item.key.endswith("notes.txt")]
    assert embedded.rows.shape == (4, tiny.dim)
    assert np.isfinite(embedded.rows).all()
    assert [failure.code for failure in embedded.failures] == ["unsupported-format"]
    assert (seen[-1].done, seen[-1].total, seen[-1].failed, seen[-1].indexed) == (5, 5, 1, 4)


def test_names_with_newlines_keep_their_row(tmp_path):
    rows = np.eye(2, dtype=np.float32)
    export.write(tmp_path / "x.npy", ["a\nb", "鳥"], rows)
    assert json.loads((tmp_path / "x.keys.json").read_text()) == ["a\nb", "鳥"]
    assert np.array_equal(np.load(tmp_path / "x.npy"), rows)


def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch):
    export.write(tmp_path / "x.npy", ["a"], np.zeros((1, 2), np.float32))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(UsageError, match="No space left"):
        export.write(tmp_path / "x.npy", ["b"], np.ones((1, 2), np.float32))
    assert np.load(tmp_path / "x.npy").sum() == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.keys.json", "x.npy"]


def test_parquet_without_pyarrow_says_what_to_type(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match="pip install"):
        export.check(tmp_path / "x.parquet")


def test_a_text_file_that_is_none(tmp_path):
    (tmp_path / "empty.txt").write_text("\n \n")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    for name in ("empty.txt", "binary.txt"):
        with pytest.raises(UsageError):
            export.lines(tmp_path / name)


def test_lines_are_those_of_an_editor(tmp_path):
    (tmp_path / "t.txt").write_bytes("\ufeffone\r\ntwo\u2028still two\n\nthree\x0cthree\n".encode())
    assert export.lines(tmp_path / "t.txt") == ["one", "two\u2028still two", "three\x0cthree"]


def test_one_file_is_a_place(tmp_path):
    noise(1).save(tmp_path / "a.png")
    assert [item.key for item in export.files([str(tmp_path / "a.png")])] == [str(tmp_path / "a.png")]


def test_names_that_are_no_text_are_read_all_the_same(tiny, tmp_path):
    noise(1).save(os.fsencode(tmp_path) + b"/\xff.png", "PNG")
    embedded = export.pictures(tiny, export.files([str(tmp_path)]), lambda _: None)
    assert embedded.failures == []
    assert embedded.keys == [f"{tmp_path}/\\xff.png"]
