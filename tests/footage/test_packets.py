import io

import pytest
from clips import CONTAINERS, clip, decoded, moving

from glimpse.decoders.footage import packets
from glimpse.decoders.footage.track import Track


def listed(data: bytes) -> tuple[packets.Index, bool]:
    track = Track(io.BytesIO(data))
    index = packets.listed(track)
    seekable = packets.is_seekable(track, index)
    track.close()
    return index, seekable


def surveyed(data: bytes) -> packets.Index:
    track = Track(io.BytesIO(data))
    index = packets.surveyed(track, lambda: None)
    track.close()
    return index


@pytest.mark.parametrize(("kind", "codec"), CONTAINERS)
def test_containers_with_an_index_can_be_sought(kind, codec):
    index, seekable = listed(clip(kind, codec, moving(100)))
    assert seekable == (kind in {"mp4", "mov", "matroska", "webm", "avi"})
    assert not seekable or (len(index.times) == 100 and len(index.keys) >= 8)


@pytest.mark.parametrize(("kind", "codec"), CONTAINERS)
def test_a_survey_finds_every_packet_and_the_keyframes_among_them(kind, codec):
    data = clip(kind, codec, moving(60))
    index = surveyed(data)
    assert len(index.times) >= len(decoded(data)) - 2  # of Matroska, the first have no decoding time
    assert list(index.times) == sorted(index.times)
    assert set(index.keys) <= set(index.times)
    assert 0 < index.widest < 1


def test_what_is_listed_is_what_a_survey_finds():
    data = clip(frames=moving(60))
    assert listed(data)[0].keys == pytest.approx(surveyed(data).keys)
    assert listed(data)[0].times == pytest.approx(surveyed(data).times)


def test_of_a_film_that_is_cut_the_list_is_not_trusted(tmp_path):
    whole = clip(frames=moving(250), to=str(tmp_path / "film"), movflags="faststart")
    assert listed(whole)[1]
    assert not listed(whole[: len(whole) * 7 // 10])[1]


def test_a_list_that_ends_before_the_film_is_not_trusted():
    track = Track(io.BytesIO(clip(frames=moving(250))))
    index = packets.listed(track)
    assert packets.is_seekable(track, index)
    assert not packets.is_seekable(track, packets.Index(index.times[:150], index.keys[:13]))
    assert not packets.is_seekable(track, packets.Index((), ()))
    track.close()


def test_a_survey_gives_signs_of_life():
    signs = []
    track = Track(io.BytesIO(clip(frames=moving(30))))
    packets.surveyed(track, lambda: signs.append(1))
    track.close()
    assert len(signs) >= 30
