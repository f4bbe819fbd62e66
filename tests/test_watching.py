import os
import shutil
import threading
import time

import pytest

from conftest import noise
from glimpse.database import writing
from glimpse.errors import MissingExtra, UsageError
from glimpse.values import Selection

pytest.importorskip("watchfiles")


def rounds(photos, album, steps, **options):
    """Do one thing after the other while the folder is watched; the reports of what that led to."""
    done = threading.Event()
    reports = []
    watch = photos.watch(album, stop=done.is_set, **options)
    waiting = list(steps)

    def next_step():
        if waiting:
            waiting.pop(0)()
        else:
            done.set()

    timer = threading.Timer(60, done.set)  # a test that waits for ever says nothing
    timer.start()
    starter = threading.Timer(1.5, next_step)  # after the first look at everything
    starter.start()
    for report in watch:
        reports.append(report)
        threading.Timer(0.1, next_step).start()
    timer.cancel()
    return reports


def test_changes_are_followed(photos, album):
    photos.index(album)
    reports = rounds(
        photos,
        album,
        [
            lambda: noise(40).save(album / "new.png"),
            lambda: noise(41).save(album / "new.png"),
            lambda: (album / "new.png").rename(album / "inner" / "moved.png"),
            (album / "inner" / "moved.png").unlink,
            lambda: (album / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnonsense"),
        ],
    )
    changes = [(one.indexed, one.moved, one.removed) for one in reports if one.indexed or one.moved or one.removed]
    assert changes == [(1, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    assert sorted(os.path.basename(key) for key in photos) == ["a.png", "b.jpg", "c.webp", "d.gif"]
    assert "broken.png" in [os.path.basename(failure.key) for failure in photos.failures()]


def test_what_changed_between_indexing_and_watching_is_seen(photos, album):
    photos.index(album)
    noise(50).save(album / "late.png")
    reports = rounds(photos, album, [])
    assert reports[0].indexed == 1


def test_what_is_left_out_is_not_followed(photos, album):
    photos.index(album)

    def both():
        noise(41).save(album / ".hidden.png")
        noise(42).save(album / "inner" / "deep.png")
        time.sleep(0.1)
        noise(43).save(album / "new.png")

    rounds(photos, album, [both], selection=Selection(exclude=("inner/",)))
    assert str(album / "new.png") in photos
    assert str(album / ".hidden.png") not in photos
    assert str(album / "inner" / "deep.png") not in photos


def test_what_cannot_be_watched(photos, album, monkeypatch):
    for place in ("s3://bucket/x/", "-", str(album / "nowhere"), str(album / "*.png")):
        with pytest.raises(UsageError, match="cannot be watched"):
            next(photos.watch(place))
    monkeypatch.setitem(__import__("sys").modules, "watchfiles", None)
    with pytest.raises(MissingExtra, match="pip install"):
        next(photos.watch(album))


@pytest.mark.slow
def test_names_with_brackets_are_no_patterns(photos, album):
    (album / "trip [2020]").mkdir()
    noise(50).save(album / "b[1].png")
    noise(51).save(album / "trip [2020]" / "x.png")
    photos.index(album)
    rounds(photos, album, [(album / "b[1].png").unlink, lambda: shutil.rmtree(album / "trip [2020]")])
    assert sorted(os.path.basename(key) for key in photos) == ["a.png", "b.jpg", "c.webp", "d.gif"]


def test_a_place_that_goes_away_ends_it_and_is_not_forgotten(photos, album):
    photos.index(album)
    with pytest.raises(UsageError, match="is there no more: what was indexed of it stays"):
        rounds(photos, album, [lambda: album.rename(album.with_name("elsewhere"))])
    assert len(photos) == 4


@pytest.mark.slow
def test_another_indexer_is_waited_for(photos, album):
    photos.index(album)
    held = writing(photos.path)

    def step():
        held.__enter__()
        noise(60).save(album / "new.png")
        threading.Timer(1.5, lambda: held.__exit__(None, None, None)).start()

    rounds(photos, album, [step])
    assert str(album / "new.png") in photos
