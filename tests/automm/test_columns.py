"""What a column holds is told by its cells, not by how many of them can be read."""

import base64
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import noise
from glimpse.automm.columns import Column, kind_of, table, texts
from glimpse.errors import MissingExtra, UsageError


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "picture"  # without an ending
    noise(0).save(path, "png")
    return str(path)


def test_paths_are_pictures_whether_or_not_they_lead_somewhere(picture, tmp_path):
    assert kind_of("x", [picture]) == "image"
    assert kind_of("x", [picture, *(f"{tmp_path}/missing-{i}" for i in range(99))]) == "image"
    assert kind_of("x", ["missing.jpg"]) == "image"
    assert kind_of("x", ["a.JPG", "b.png", "something else"]) == "image"
    assert kind_of("x", [picture] * 50) == "image"
    assert kind_of("x", [Path("missing")]) == "image"
    assert kind_of("x", ["/nfs/photos/IMG_0001"]) == "image"  # a disk that is not mounted
    assert kind_of("x", ["~/My Pictures/0001", "./a", "C:\\photos\\1"]) == "image"
    assert kind_of("x", ["https://example.org/a.jpg?size=3"]) == "image"


def test_a_file_in_the_working_folder_may_be_a_word(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("README").write_text("a word that happens to be a file")
    assert kind_of("x", ["README"]) == "text"
    noise(0).save("cat", "png")
    assert kind_of("x", ["cat"]) == "image"
    assert kind_of("x", ["cat", "dog", "sky"]) == "text"  # labels, of which one happens to be a file


def test_what_a_column_is_called_counts_where_its_cells_are_silent():
    assert kind_of("image", ["img-0001"]) == "image"
    assert kind_of("photo_path", ["0001"]) == "image"
    assert kind_of("image", ["img-0001"], by_name=False) == "text"
    assert kind_of("id", ["img-0001"]) == "text"
    assert kind_of("image_caption", ["dog"]) == "text"
    assert kind_of("image", ["a dog on the beach"]) == "text"
    assert kind_of("image", [None]) == "image"


def test_texts_are_texts():
    assert kind_of("text", ["a carriage"]) == "text"
    assert kind_of("x", ["a carriage", None, float("nan"), pd.NA]) == "text"
    assert kind_of("x", [""]) == "text"
    assert kind_of("x", []) == "text"
    assert kind_of("x", ["a picture called cat.jpg", "a dog", "a horse"]) == "text"
    assert kind_of("x", ["word " * 1000]) == "text"  # longer than a file's name may be
    assert kind_of("x", ["x" * 300, "\0", "~nobody/x", "d41d8cd98f00b204e9800998ecf8427e" * 2]) == "text"


def test_objects_are_pictures(picture):
    code = base64.b64encode(Path(picture).read_bytes()).decode()
    for cell in (
        b"data",
        bytearray(b"data"),
        noise(0),
        np.zeros((2, 2, 3), np.uint8),
        code,
        "data:image/png;base64," + code,
    ):
        assert kind_of("x", [cell, None]) == "image"


@pytest.mark.parametrize("cell", [3, 2.5, True, {"a": 1}, ["a"], np.zeros(3)])
def test_other_things_are_neither(cell):
    with pytest.raises(UsageError, match="neither a picture nor a text"):
        kind_of("x", [cell])


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=400), max_size=5))
@settings(max_examples=200, deadline=None)
def test_any_text_has_a_kind(cells):
    assert kind_of("x", cells) in {"image", "text"}


def test_tables():
    assert table({"a": ("x", "y"), 3: np.array(["u", "v"])}).columns == {"a": ["x", "y"], "3": ["u", "v"]}
    frame = pd.DataFrame({"a": ["x"]}, index=["row"])
    assert list(table(frame).index) == ["row"]
    assert table({"a": frame["a"]}).index is None
    assert table(["x"]).columns == {"0": ["x"]}
    assert table(frame["a"]).columns == {"a": ["x"]}
    assert table(x for x in ["u", "v"]).columns == {"0": ["u", "v"]}
    assert [cell.shape for cell in table(np.zeros((2, 4, 5, 3), np.uint8)).columns["0"]] == [(4, 5, 3)] * 2


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"a": ["x"], "b": []}, "differ in length"),
        ({"a": "x"}, "put it into a list"),
        (b"x", "put it into a list"),
        (3, "put it into a list"),
        (noise(0), "put it into a list"),
        (np.zeros((4, 5, 3), np.uint8), "put a picture into a list"),
        ({"a": ["x"], 3: ["y"], "3": ["z"]}, "the same name"),
    ],
)
def test_what_is_no_table(data, sentence):
    with pytest.raises(UsageError, match=sentence):
        table(data)


def test_a_table_of_a_file_takes_pandas(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(MissingExtra, match=r"glimpse-search\[automm\]"):
        table("pictures.csv")


def test_texts_of_several_columns_are_one():
    pair = [Column("a", "text", ["in the street", None]), Column("b", "text", ["a cat", "a dog"])]
    assert texts(pair) == ["in the street a cat", " a dog"]
    with pytest.raises(UsageError, match=r"a\[1\] is a int"):
        texts([Column("a", "text", ["x", 3])])
