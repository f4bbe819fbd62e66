import json
import os
import shutil
from dataclasses import asdict

import numpy as np
import pytest

from conftest import noise, shared
from glimpse.collection import Collection
from glimpse.errors import StorageError, UsageError
from glimpse.values import FAILURE_CODES, STAGES, Selection


def names(collection, folder):
    return [os.path.relpath(key, folder) for key in collection]


def test_a_folder_is_indexed_and_what_is_no_picture_is_named(photos, album):
    report = photos.index(album)
    assert (report.indexed, report.unchanged, report.total) == (4, 0, 5)
    assert [(failure.key, failure.code) for failure in report.failures] == [
        (str(album / "notes.txt"), "unsupported-format")
    ]
    assert photos.failures() == list(report.failures)
    assert names(photos, album) == ["a.png", "b.jpg", "inner/c.webp", "inner/d.gif"]


def test_the_stored_rows_are_those_of_the_encoder(photos, album, tiny):
    photos.index(album)
    keys, rows = photos.vectors()
    for key, row in zip(keys, rows, strict=True):
        assert row @ tiny.images([key])[0] > 0.999


def test_a_second_run_reads_nothing(photos, album, monkeypatch):
    photos.index(album)
    monkeypatch.setattr("glimpse.workers.process._spawn", lambda *_: pytest.fail("something was read"))
    report = photos.index(album)
    assert (report.indexed, report.unchanged, len(report.failures), report.total) == (0, 4, 1, 5)


def test_a_touched_file_is_hashed_and_not_embedded(photos, album, monkeypatch):
    photos.index(album)
    os.utime(album / "a.png", ns=(1, 1))
    monkeypatch.setattr(photos.encoder, "embed", lambda _: pytest.fail("embedded"), raising=False)
    report = photos.index(album)
    assert (report.indexed, report.unchanged, report.moved) == (0, 4, 0)
    monkeypatch.setattr("glimpse.workers.process._spawn", lambda *_: pytest.fail("something was read"))
    assert photos.index(album).unchanged == 4  # the new time is known now


def test_a_changed_file_is_embedded_again(photos, album, tiny):
    photos.index(album)
    noise(77).save(album / "a.png")
    report = photos.index(album)
    assert (report.indexed, report.unchanged) == (1, 3)
    assert photos.search(noise(77), k=1)[0].key == str(album / "a.png")


def test_moved_files_keep_their_vectors(photos, album, monkeypatch):
    photos.index(album)
    before = dict(zip(*photos.vectors(), strict=True))
    (album / "a.png").rename(album / "inner" / "z.png")
    (album / "b.jpg").rename(album / "y.jpg")
    monkeypatch.setattr(photos.encoder, "embed", lambda _: pytest.fail("embedded"), raising=False)
    report = photos.index(album)
    assert (report.indexed, report.unchanged, report.moved, report.removed) == (0, 4, 2, 0)
    after = dict(zip(*photos.vectors(), strict=True))
    assert np.array_equal(after[str(album / "inner" / "z.png")], before[str(album / "a.png")])
    assert str(album / "a.png") not in photos


def test_a_copy_is_no_move_and_twins_that_moved_both_stay(photos, album):
    shutil.copy(album / "a.png", album / "twin.png")
    photos.index(album)
    assert len(photos) == 5
    (album / "a.png").rename(album / "1.png")
    (album / "twin.png").rename(album / "2.png")
    report = photos.index(album)
    assert (report.indexed, report.moved) == (0, 2)
    assert names(photos, album)[:2] == ["1.png", "2.png"]
    assert len(photos) == 5


def test_two_files_that_swap_names_swap_vectors(photos, album, tiny):
    photos.index(album)
    (album / "a.png").rename(album / "tmp")
    (album / "b.jpg").rename(album / "a.png")
    (album / "tmp").rename(album / "b.jpg")
    photos.index(album)
    for key, row in zip(*photos.vectors(), strict=True):
        assert row @ tiny.images([key])[0] > 0.999


def test_deleted_files_are_forgotten_below_the_place_only(photos, album, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    noise(50).save(elsewhere / "e.png")
    photos.index(album, elsewhere)
    (album / "a.png").unlink()
    (album / "notes.txt").unlink()
    (elsewhere / "e.png").unlink()
    report = photos.index(album)
    assert report.removed == 2
    assert report.failures == ()
    assert photos.failures() == []
    assert str(elsewhere / "e.png") in photos  # nobody looked there


def test_a_folder_that_cannot_be_listed_is_named_and_nothing_in_it_is_forgotten(photos, album, monkeypatch):
    photos.index(album)
    scandir, closed = os.scandir, str(album / "inner")

    def refuse(path="."):
        if str(path) == closed:
            raise PermissionError(13, "Permission denied", closed)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    report = photos.index(album)
    assert (closed, "unreadable") in [(failure.key, failure.code) for failure in report.failures]
    assert (report.removed, len(photos)) == (0, 4)
    monkeypatch.undo()
    report = photos.index(album)
    assert (report.removed, report.unchanged) == (0, 4)
    assert [failure.code for failure in photos.failures()] == ["unsupported-format"]  # the folder's is forgotten


def test_an_emptied_folder_is_an_error_and_nothing_is_forgotten(photos, album):
    photos.index(album)
    shutil.rmtree(album)
    album.mkdir()  # as when a disk is not mounted
    with pytest.raises(UsageError, match="there are no files"):
        photos.index(album)
    assert len(photos) == 4


def test_a_good_file_that_breaks_and_is_mended(photos, album):
    photos.index(album)
    whole = (album / "b.jpg").read_bytes()
    (album / "b.jpg").write_bytes(whole[: len(whole) // 2])
    report = photos.index(album)
    assert {failure.code for failure in report.failures} == {"truncated", "unsupported-format"}
    assert str(album / "b.jpg") not in photos
    (album / "b.jpg").write_bytes(whole)
    assert photos.index(album).indexed == 1
    assert str(album / "b.jpg") in photos


@pytest.mark.parametrize("wrong", ["missing", "empty"])
def test_places_that_cannot_be(photos, tmp_path, wrong):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="there (is|are) no"):
        photos.index(tmp_path / wrong)
    with pytest.raises(UsageError):
        photos.index()


def test_one_file_named_twice_is_one_item(photos, album):
    report = photos.index(album / "a.png", album / "a.png", album)
    assert report.indexed == 4


def test_odd_names_are_kept_apart(photos, tmp_path):
    folder = tmp_path / "odd"
    folder.mkdir()
    for place, name in enumerate(["鳥鳥.png", "with space.png", "new\nline.png", "quote'\".png", ".hidden.png"]):
        noise(place).save(folder / name)
    noise(9).save(os.fsencode(folder) + b"/\xff\xfe.png", "PNG")
    report = photos.index(folder)
    assert report.indexed == 5  # hidden files are left out
    assert str(folder / "\\xff\\xfe.png") in photos
    assert photos.index(folder).unchanged == 5


def test_links_pipes_and_loops(photos, album):
    (album / "loop").symlink_to(album)
    (album / "link.png").symlink_to(album / "a.png")
    (album / "dangling.png").symlink_to(album / "nowhere.png")
    os.mkfifo(album / "pipe.png")
    report = photos.index(album)
    assert report.indexed == 5  # the link to a file counts
    assert {os.path.basename(failure.key): failure.code for failure in report.failures} == {
        "dangling.png": "vanished",
        "notes.txt": "unsupported-format",
    }


def test_a_file_that_goes_away_is_named_and_taken_when_it_is_back(photos, album, monkeypatch):
    data = (album / "a.png").read_bytes()
    times = (album / "a.png").stat()
    monkeypatch.setattr("glimpse.pipeline._listing", listing_and_then((album / "a.png").unlink))
    report = photos.index(album)
    assert (str(album / "a.png"), "vanished") in [(failure.key, failure.code) for failure in report.failures]
    monkeypatch.undo()
    (album / "a.png").write_bytes(data)
    os.utime(album / "a.png", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert photos.index(album).indexed == 1


def listing_and_then(do):
    """Have something happen between listing and reading."""
    from glimpse import pipeline

    real = pipeline._listing

    def listing(*arguments):
        found = real(*arguments)
        do()
        return found

    return listing


def test_a_file_that_changes_between_listing_and_reading_is_indexed_as_what_was_read(photos, album, tiny, monkeypatch):
    monkeypatch.setattr("glimpse.pipeline._listing", listing_and_then(lambda: noise(99).save(album / "a.png")))
    photos.index(album)
    monkeypatch.undo()
    assert dict(zip(*photos.vectors(), strict=True))[str(album / "a.png")] @ tiny.images([noise(99)])[0] > 0.999
    assert photos.index(album).unchanged == 4


def test_a_large_file_that_is_no_picture_is_not_read_whole(photos, album):
    with (album / "film.mp4").open("wb") as film:
        film.write(b"\0\0\0 ftypisom\0\0\2\0isomiso2avc1mp41")
        film.truncate(40 * 1024**3)  # a hole: takes no space, and minutes to read
    with (album / "disk.img").open("wb") as film:
        film.truncate(40 * 1024**3)
    report = photos.index(album)
    codes = {os.path.basename(one.key): one.code for one in report.failures}
    assert codes.pop("film.mp4") in {"truncated", "corrupt"}
    assert codes == {"disk.img": "unsupported-format", "notes.txt": "unsupported-format"}
    assert report.seconds < 60


def test_progress_and_stop(photos, tmp_path, monkeypatch):
    monkeypatch.setattr("glimpse.run.COMMIT_AT", 16)
    monkeypatch.setattr("glimpse.run.TELL_EVERY", 0.0)
    folder = tmp_path / "many"
    folder.mkdir()
    for seed in range(150):
        noise(seed, (8, 8)).save(folder / f"{seed:03}.png")
    seen = []
    report = photos.index(folder, progress=seen.append, stop=lambda: seen[-1:] and seen[-1].indexed)
    assert report.interrupted
    assert (seen[0].done, seen[0].total) == (0, 150)
    assert 0 < report.indexed == len(photos) < 150
    assert seen[-1].done == report.indexed
    assert "images/s" in str(seen[-1])
    rest = photos.index(folder)
    assert (rest.indexed, rest.unchanged) == (150 - report.indexed, report.indexed)


def test_every_code_is_explained(photos, album):
    photos.index(album)
    assert all(failure.code in FAILURE_CODES for failure in photos.failures())


def test_real_photographs_and_mixed_formats(photos):
    folders = [shared("data/coco"), shared("data/photos"), shared("data/photos unicode")]
    report = photos.index(*folders)
    assert [(os.path.basename(failure.key), failure.code) for failure in report.failures] == [
        ("captions.json", "unsupported-format"),
        ("not-an-image.txt", "unsupported-format"),
    ]
    assert report.indexed == 51 + 22 + 1


def test_the_demo_model_on_real_files(tmp_path, demo):
    with Collection(tmp_path / "p.db", demo) as photos:
        report = photos.index(shared("data/coco"), shared("data/photos"))
        assert report.indexed == 51 + 22
        assert len(photos.search("a bee", k=3)) == 3


def test_one_of_several_places_without_files_is_refused(photos, album, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    noise(1).save(disk / "x.png")
    photos.index(album, disk)
    (disk / "x.png").unlink()  # as when it is not mounted
    with pytest.raises(UsageError, match="there are no files in .*disk"):
        photos.index(album, disk)
    assert str(disk / "x.png") in photos


def test_what_is_there_but_was_not_walked_stays(photos, album):
    hidden = album / ".hidden"
    hidden.mkdir()
    noise(70).save(hidden / "h.png")
    photos.index(hidden)
    assert photos.index(album).removed == 0
    assert str(hidden / "h.png") in photos


def test_what_failed_is_tried_again_when_it_changes_or_when_asked(photos, album):
    photos.index(album)
    assert photos.index(album).frames == 0
    report = photos.index(album, retry_failed=True)
    assert [failure.code for failure in report.failures] == ["unsupported-format"]
    noise(5).save(album / "good.png")
    (album / "good.png").rename(album / "notes.txt")
    report = photos.index(album)
    assert (report.indexed, report.failures) == (1, ())


def test_a_file_larger_than_the_memory_is_named(photos, album):
    with (album / "huge.jpg").open("wb") as file:
        file.write(b"\xff\xd8\xff\xe0")
        file.truncate(1 << 42)
    report = photos.index(album)
    assert ("huge.jpg", "memory") in [(os.path.basename(one.key), one.code) for one in report.failures]
    assert report.indexed == 4


def test_failures_of_files_that_moved_are_forgotten(photos, album, tmp_path):
    photos.index(album)
    album.rename(tmp_path / "elsewhere")
    photos.index(tmp_path / "elsewhere")
    assert [failure.key for failure in photos.failures()] == [str(tmp_path / "elsewhere" / "notes.txt")]


def test_the_collection_may_lie_in_the_folder(album, tiny):
    with Collection(album / "photos.db", tiny) as inside:
        report = inside.index(album)
    assert [os.path.basename(failure.key) for failure in report.failures] == ["notes.txt"]
    assert not (album / "photos.db-lock").exists()


def test_a_second_indexer_is_refused_with_a_sentence_and_readers_are_not(photos, album, tiny):
    told = []

    def second(_):
        if told:
            return
        with Collection(photos.path, tiny) as other:
            with pytest.raises(StorageError, match="another process is indexing into .*wait for it to end"):
                other.index(album)
            told.append(len(other.search("a carriage")))

    photos.index(album, progress=second)
    assert told == [0]
    with Collection(photos.path, tiny) as other:
        assert other.index(album).unchanged == 4  # and afterwards it may


def test_pictures_that_are_too_small(photos, album):
    noise(4, (40, 10)).save(album / "small.png")
    report = photos.index(album, min_side=11)
    assert ("small.png", "too-small") in [(os.path.basename(one.key), one.code) for one in report.failures]
    assert report.indexed == 4


def test_include_exclude_and_hidden(photos, album):
    noise(4).save(album / ".h.png")
    assert photos.index(album, selection=Selection(include=("*.png",))).indexed == 1
    assert photos.index(album, selection=Selection(include=("*.png",), hidden=True)).indexed == 1
    assert photos.index(album, selection=Selection(exclude=("inner/", "notes.txt"))).indexed == 1
    assert len(photos) == 3  # what is left out this time is not forgotten


def test_the_report_has_a_profile(photos, album):
    report = photos.index(album)
    assert set(report.stages) == set(STAGES)
    assert report.stages["decoding"] > 0
    assert report.stages["encoding"] > 0
    assert report.bottleneck in STAGES
    assert report.frames == 4
    assert json.loads(json.dumps(asdict(report)))["stages"] == report.stages
    assert "decoding" in report.profile()


def test_a_copy_of_a_file_whose_name_is_no_text_is_no_move(photos, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    noise(1).save(os.fsencode(tmp_path / "one") + b"/\xff.png", "PNG")
    photos.index(tmp_path / "one")
    shutil.copy(os.fsencode(tmp_path / "one") + b"/\xff.png", tmp_path / "two" / "copy.png")
    assert photos.index(tmp_path / "two").moved == 0
    assert len(photos) == 2


def test_many_copies_of_one_picture_are_looked_for_once(photos, tmp_path, monkeypatch):
    folder = tmp_path / "copies"
    folder.mkdir()
    noise(1).save(folder / "0.png")
    for number in range(1, 300):
        os.link(folder / "0.png", folder / f"{number}.png")
    from glimpse.store import Store

    asked, real = [], Store.with_digest
    monkeypatch.setattr(Store, "with_digest", lambda self, digest: asked.append(real(self, digest)) or asked[-1])
    monkeypatch.setattr("glimpse.run.COMMIT_AT", 1)
    assert photos.index(folder).indexed == 300
    assert len([found for found in asked if found]) == 1


def test_an_error_of_the_system_is_not_blamed_on_the_collection(photos, album, monkeypatch):
    def fail(*_):
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr("glimpse.pipeline._listing", fail)
    with pytest.raises(OSError, match="Stale"):
        photos.index(album)
