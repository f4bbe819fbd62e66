import numpy as np
import pytest

from conftest import noise
from glimpse import embedding
from glimpse.embedding import LARGEST_BATCH, SMALLEST_BATCH, Profile, embedded, next_size
from glimpse.values import Item
from glimpse.workers.events import Ending, Frame


def events(tiny, n, *, ticks=False):
    """What a pool would say of n pictures, the third of which failed."""
    for place in range(n):
        item = Item(str(place), 1, 1, ("folder", str(place)))
        yield Frame(item, b"", None, tiny.prepare(noise(place)))
        yield Ending(item, reading=1.0, decoding=2.0)
        if ticks:
            yield None


@pytest.mark.parametrize("n", [0, 1, 5, 100])
def test_every_frame_has_its_row_and_its_ending_in_one_batch(tiny, n):
    profile = Profile(2)
    batches = list(embedded(tiny, events(tiny, n), profile))
    frames = [frame for batch in batches for frame in batch.frames]
    assert [frame.item.key for frame in frames] == [str(place) for place in range(n)]
    for batch in batches:
        assert len(batch.rows) == len(batch.frames) == len(batch.endings)
    if n:
        rows = np.concatenate([batch.rows for batch in batches])
        assert (rows * tiny.images([noise(place) for place in range(n)])).sum(1).min() > 0.999
        assert profile.seconds["encoding"] > 0
    assert profile.seconds["reading"] == n
    assert profile.seconds["decoding"] == 2 * n


def test_nothing_is_held_back_while_nothing_happens(tiny, monkeypatch):
    monkeypatch.setattr(embedding, "LINGER", 0.0)
    batches = list(embedded(tiny, events(tiny, 3, ticks=True), Profile(1)))
    assert [len(batch.frames) for batch in batches if batch.frames] == [1, 1, 1]


def test_an_error_of_the_tower_is_not_swallowed(tiny, monkeypatch):
    monkeypatch.setattr(tiny, "embed", lambda _: 1 / 0, raising=False)
    with pytest.raises(ZeroDivisionError):
        list(embedded(tiny, events(tiny, 40), Profile(1)))


def test_batches_last_about_a_second():
    assert next_size(16, 0.1) == 32
    assert next_size(16, 1.0) == 16
    assert next_size(16, 5.0) == 8
    assert next_size(LARGEST_BATCH, 0.1) == LARGEST_BATCH
    assert next_size(SMALLEST_BATCH, 60.0) == SMALLEST_BATCH


def test_the_bottleneck_is_the_stage_whose_hands_are_busiest():
    profile = Profile(4)
    assert profile.bottleneck() == ""
    profile.seconds |= {"reading": 1.0, "decoding": 11.0, "encoding": 2.0, "storing": 0.5}
    profile._asked -= 3.0
    assert profile.bottleneck_now() == "decoding"
    assert profile.bottleneck_now() == ""  # nothing since
    profile.seconds["encoding"] = 9.0
    profile._asked -= 8.0
    assert profile.bottleneck_now() == "encoding"
    profile.seconds["reading"] = 60.0
    assert profile.bottleneck() == "reading"
    profile.seconds["storing"] = 100.0
    assert profile.bottleneck() == "storing"
