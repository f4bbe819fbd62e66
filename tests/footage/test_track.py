import io

import pytest
from clips import (
    clip,
    moving,
    salvaged,
)

from glimpse.decoders.video import Film
from glimpse.errors import BadItem
from glimpse.values import Sampling


def test_a_file_that_cannot_be_read():
    class Failing(io.BytesIO):
        left = 3

        def read(self, count=-1):
            self.left -= 1
            if self.left < 0:
                raise OSError(5, "disk")
            return super().read(count)

    for left in (0, 1, 3, 9):
        file = Failing(clip("mpegts", frames=moving(120, (192, 128))))
        file.left = left
        with pytest.raises(BadItem) as caught, Film(file) as film:
            list(film.frames(Sampling("every", 0.2)))
        assert caught.value.code == "unreadable"


def test_what_is_behind_the_damage_is_found_too():
    whole = bytearray(clip("mpegts", frames=moving(100)))
    middle = len(whole) // 376 * 188
    whole[middle : middle + 188] = bytes(188)
    found, code = salvaged(bytes(whole))
    assert code == "corrupt"
    assert found[0] < 0.5
    assert found[-1] > 3.5
