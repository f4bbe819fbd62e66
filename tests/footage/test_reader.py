import io

from glimpse.decoders.footage.reader import Reader


class Broken(io.BytesIO):
    def read(self, _=-1):
        raise OSError(5, "disk")


def test_a_file_is_read_as_it_is():
    reader = Reader(io.BytesIO(b"0123456789"))
    assert reader.size == 10
    assert reader.peek(4, 3) == b"456"
    assert reader.tell() == 7
    assert reader.seek(-2, 2) == 8
    assert reader.read() == b"89"
    assert reader.failure() is None


def test_one_that_cannot_be_read_ends_and_is_remembered():
    reader = Reader(Broken(b"0123456789"))
    assert reader.read(5) == b""
    assert reader.failed
    assert reader.failure().code == "unreadable"


def test_a_seek_to_nowhere_is_no_failure_of_the_file():
    reader = Reader(io.BytesIO(b"0123456789"))
    assert reader.seek(-5) == -1
    assert not reader.failed
