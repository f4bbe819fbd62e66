"""Films from the file to the hit: sampled, stored frame by frame, taken up again, found by moments."""

import os
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from conftest import noise, shared
from films import film, scene
from glimpse.collection import Collection
from glimpse.demo import PICTURES
from glimpse.values import Sampling, Selection, item_and_time


@pytest.fixture
def films(tmp_path):
    """A folder with a film of five scenes of two seconds, and a picture."""
    folder = tmp_path / "films"
    folder.mkdir()
    film(folder / "five.mp4", [scene(n) for n in range(5)])
    noise(1).save(folder / "p.png")
    return folder


def times(collection, name):
    return [item_and_time(key)[1] for key in collection if os.path.basename(item_and_time(key)[0]) == name]


def test_a_film_is_found_by_its_scenes(photos, films):
    report = photos.index(films)
    assert (report.indexed, report.frames, report.failures) == (2, 6, ())
    assert times(photos, "five.mp4") == [0.0, 2.0, 4.0, 6.0, 8.0]
    hit = photos.search(scene(3), k=1, moments=True)[0]
    assert (hit.item, hit.time, hit.key) == (str(films / "five.mp4"), 6.0, f"{films / 'five.mp4'}#t=6.000")
    assert (hit.moments[0].start, hit.moments[0].end) == (6.0, 8.0)
    assert photos.index(films).unchanged == 2


def test_sampling_is_remembered_and_changed_when_asked(photos, films):
    photos.index(films, sampling=Sampling("every", 1))
    assert times(photos, "five.mp4") == [0.0, 2.0, 4.0, 6.0, 8.0]  # frames that are like the one before are skipped
    photos.index(films, sampling=Sampling("every", 4))
    assert times(photos, "five.mp4") == [0.0, 4.0, 8.0]
    assert photos.index(films).unchanged == 2  # as it was before
    assert photos.index(films, sampling=Sampling()).indexed == 1
    assert times(photos, "five.mp4") == [0.0, 2.0, 4.0, 6.0, 8.0]


def test_a_film_that_moved_keeps_its_vectors_and_is_not_decoded(photos, films, monkeypatch):
    photos.index(films)
    (films / "five.mp4").rename(films / "moved.mp4")
    monkeypatch.setattr(photos.encoder, "embed", lambda _: pytest.fail("embedded"), raising=False)
    report = photos.index(films)
    assert (report.moved, report.indexed, report.frames) == (1, 0, 0)
    assert times(photos, "moved.mp4") == [0.0, 2.0, 4.0, 6.0, 8.0]
    monkeypatch.undo()
    assert photos.search(scene(3), k=1, moments=True)[0].moments[0].end == 8.0


def test_a_film_that_was_begun_is_taken_up_where_it_was_left(photos, films, monkeypatch):
    monkeypatch.setattr("glimpse.run.COMMIT_AT", 1)
    monkeypatch.setattr("glimpse.embedding.LARGEST_BATCH", 2)
    monkeypatch.setattr("glimpse.embedding.FIRST_BATCH", 2)
    seen = []
    report = photos.index(films, stop=lambda: seen.append(1) or len(times(photos, "five.mp4")) >= 2)
    assert report.interrupted
    begun = len(times(photos, "five.mp4"))
    assert 2 <= begun < 5
    rows = []
    embed = photos.encoder.embed
    monkeypatch.setattr(photos.encoder, "embed", lambda some: rows.append(len(some)) or embed(some), raising=False)
    assert photos.index(films).failures == ()
    assert times(photos, "five.mp4") == [0.0, 2.0, 4.0, 6.0, 8.0]
    assert sum(rows) <= 6 - begun
    assert photos.store.known(str(films / "five.mp4")).whole


def test_a_film_that_changed_has_only_its_new_frames(photos, films):
    photos.index(films)
    film(films / "five.mp4", [scene(n) for n in (7, 8)])
    assert photos.index(films).indexed == 1
    assert times(photos, "five.mp4") == [0.0, 2.0]
    assert photos.search(scene(8), k=1)[0].time == 2.0


def test_a_film_that_breaks_off_keeps_its_frames_and_is_named(photos, films):
    whole = film(films / "cut.mp4", [scene(n) for n in range(20, 30)], movflags="faststart").read_bytes()
    (films / "cut.mp4").write_bytes(whole[: len(whole) * 6 // 10])
    for retry in (False, True, False):
        report = photos.index(films, retry_failed=retry)
        assert [(os.path.basename(one.key), one.code) for one in report.failures] == [("cut.mp4", "truncated")]
        assert 3 <= len(times(photos, "cut.mp4")) < 10
        assert photos.search(scene(21), k=1)[0].time == 2.0
    (films / "cut.mp4").write_bytes(whole)
    assert photos.index(films).failures == ()
    assert len(times(photos, "cut.mp4")) == 10


def test_a_thumbnail_of_a_moment(photos, films):
    photos.index(films)
    small = photos.thumbnail(f"{films / 'five.mp4'}#t=6.000", 48)
    assert small.size == (48, 32)
    expected = np.asarray(scene(3).resize((48, 32)), float)
    assert np.abs(np.asarray(small, float) - expected).mean() < 12
    assert photos.thumbnail(str(films / "five.mp4"), 48).size == (48, 32)
    assert photos.thumbnail(str(films / "p.png"), 20).width == 20


def test_without_pyav_films_are_named_with_what_to_install(photos, films, monkeypatch, tmp_path):
    (tmp_path / "none" / "av").mkdir(parents=True)
    (tmp_path / "none" / "sitecustomize.py").write_text(
        "import importlib.util\nreal = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'av' else real(name, *rest)\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path / "none"), *sys.path])
    report = photos.index(films)
    assert [(one.code, "pip install" in one.message) for one in report.failures] == [("missing-extra", True)]
    assert report.indexed == 1
    monkeypatch.undo()
    assert photos.index(films, retry_failed=True).failures == ()


def test_films_in_a_tar(photos, films, tmp_path):
    shutil.make_archive(str(tmp_path / "shard"), "tar", films)
    report = photos.index(tmp_path / "shard.tar")
    assert (report.indexed, report.failures) == (2, ())
    hit = photos.search(scene(3), k=1)[0]
    assert hit.key == f"{tmp_path / 'shard.tar'}/five.mp4#t=6.000"
    assert photos.thumbnail(hit.key, 48).size == (48, 32)


def test_variable_frame_rates_keep_pyavs_times(photos):
    import av

    place = shared("data/video") / "var_fps_video.mp4"
    with av.open(str(place)) as container:
        real = {round(frame.time, 6) for frame in container.decode(video=0)}
    photos.index(place, sampling=Sampling("every", 0.5))
    sampled = photos.store.times(str(place))
    assert len(sampled) > 5
    assert {round(time, 6) for time in sampled} <= real


def test_rotated_footage_has_the_vectors_of_upright_footage(tmp_path, demo):
    import av

    names = ("fox-in-the-snow.jpg", "pizza-on-red.jpg", "airplane-over-car.jpg")
    pictures = [Image.open(PICTURES / name).resize((320, 240)) for name in names]
    film(tmp_path / "upright.mp4", pictures)
    film(tmp_path / "plain.mp4", [picture.rotate(90, expand=True) for picture in pictures])
    with av.open(str(tmp_path / "plain.mp4")) as found, av.open(str(tmp_path / "turned.mp4"), "w") as made:
        source = found.streams.video[0]
        stream = made.add_stream_from_template(source)
        stream.set_display_rotation(-90)  # what was turned to the left is shown turned to the right
        for packet in found.demux(source):
            if packet.dts is not None:
                packet.stream = stream
                made.mux(packet)
    (tmp_path / "plain.mp4").unlink()
    with Collection(tmp_path / "c.db", demo) as films:
        assert films.index(tmp_path, selection=Selection(include=("*.mp4",))).indexed == 2
        rows = dict(zip(*films.vectors(), strict=True))
        upright = [row for key, row in rows.items() if "upright" in key]
        turned = [row for key, row in rows.items() if "turned" in key]
        assert len(upright) == len(turned) == 3
        cosines = [one @ other for one, other in zip(upright, turned, strict=True)]
        assert min(cosines) >= 0.99, cosines


def test_a_film_that_was_begun_goes_on_with_the_sampling_that_it_was_begun_with(photos, films, monkeypatch):
    monkeypatch.setattr("glimpse.run.COMMIT_AT", 1)
    monkeypatch.setattr("glimpse.embedding.LARGEST_BATCH", 1)
    monkeypatch.setattr("glimpse.embedding.FIRST_BATCH", 1)
    photos.index(films, sampling=Sampling("every", 4.0), stop=lambda: bool(times(photos, "five.mp4")))
    assert len(times(photos, "five.mp4")) < 3
    photos.index(films)
    assert times(photos, "five.mp4") == [0.0, 4.0, 8.0]
    film(films / "five.mp4", [scene(n) for n in range(10, 15)])  # and when it changes, too
    photos.index(films)
    assert times(photos, "five.mp4") == [0.0, 4.0, 8.0]


def test_a_broken_film_that_moves_stays_in_the_ledger(photos, films):
    whole = film(films / "cut.mp4", [scene(n) for n in range(20, 30)], movflags="faststart").read_bytes()
    (films / "cut.mp4").write_bytes(whole[: len(whole) * 6 // 10])
    photos.index(films)
    (films / "cut.mp4").rename(films / "moved.mp4")
    report = photos.index(films)
    assert [(os.path.basename(one.key), one.code) for one in report.failures] == [("moved.mp4", "truncated")]
    assert times(photos, "moved.mp4")
    assert not times(photos, "cut.mp4")


def test_a_moved_film_is_sampled_anew_if_that_is_asked_for(photos, films):
    photos.index(films)
    (films / "five.mp4").rename(films / "moved.mp4")
    report = photos.index(films, sampling=Sampling("every", 4.0))
    assert (report.moved, report.indexed) == (0, 1)
    assert times(photos, "moved.mp4") == [0.0, 4.0, 8.0]


def test_sampling_has_a_name_that_says_it_all():
    for sampling in (Sampling(), Sampling("keyframes"), Sampling("every", 0.1234567890123)):
        assert Sampling.from_name(sampling.name) == sampling
