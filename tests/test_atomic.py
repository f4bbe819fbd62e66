import pytest

from glimpse.atomic import replacing


def fail_half_way(path):
    with replacing(path) as part:
        part.write_text("half")
        raise OSError("disk full")


def test_whole_or_not_at_all(tmp_path):
    path = tmp_path / "x"
    with replacing(path) as part:
        part.write_text("one")
        assert not path.exists()
    assert path.read_text() == "one"
    with pytest.raises(OSError, match="disk full"):
        fail_half_way(path)
    assert path.read_text() == "one"
    assert [entry.name for entry in tmp_path.iterdir()] == ["x"]
