import os
import shutil

import numpy as np
import pytest

from conftest import noise, shared
from glimpse.collection import Collection
from glimpse.errors import UsageError
from glimpse.values import FAILURE_CODES


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
    monkeypatch.setattr("glimpse.sources.folder.read", lambda path, *_: pytest.fail(f"{path} was read"))
    report = photos.index(album)
    assert (report.indexed, report.unchanged, len(report.failures), report.total) == (0, 4, 1, 5)


def test_a_touched_file_is_hashed_and_not_embedded(photos, album, monkeypatch):
    photos.index(album)
    os.utime(album / "a.png", ns=(1, 1))
    monkeypatch.setattr(photos.encoder, "embed", lambda _: pytest.fail("embedded"), raising=False)
    report = photos.index(album)
    assert (report.indexed, report.unchanged, report.moved) == (0, 4, 0)
    monkeypatch.setattr("glimpse.sources.folder.read", lambda path, *_: pytest.fail(f"{path} was read"))
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


def test_a_file_that_goes_away_is_named(photos, album, monkeypatch):
    from glimpse.sources import folder

    real = folder.read

    def read(path, size=-1):
        if path.name == "a.png":
            path.unlink()
        return real(path, size)

    monkeypatch.setattr(folder, "read", read)
    report = photos.index(album)
    assert (str(album / "a.png"), "vanished") in [(failure.key, failure.code) for failure in report.failures]


def test_a_large_file_that_is_no_picture_is_not_read_whole(photos, album, monkeypatch):
    from glimpse.sources import folder

    with (album / "film.mp4").open("wb") as film:
        film.write(b"\0\0\0 ftypisom\0\0\2\0isomiso2avc1mp41")
        film.truncate(40 * 1024**3)  # a hole: takes no space
    read, sizes = folder.read, []
    monkeypatch.setattr(folder, "read", lambda path, size=-1: sizes.append((path.name, size)) or read(path, size))
    report = photos.index(album)
    assert ("film.mp4", "unsupported-format") in [(os.path.basename(one.key), one.code) for one in report.failures]
    assert [size for name, size in sizes if name == "film.mp4"] == [4096]


def test_progress_and_stop(photos, tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    for seed in range(150):
        noise(seed, (8, 8)).save(folder / f"{seed:03}.png")
    seen = []
    report = photos.index(folder, progress=seen.append, stop=lambda: len(seen) == 2)
    assert report.interrupted
    assert (seen[0].done, seen[0].total) == (0, 150)
    assert report.indexed == len(photos) == seen[1].done < 150
    assert "images/s" in str(seen[1])
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


def test_batches_last_about_a_second():
    from glimpse.pipeline import LARGEST_BATCH, SMALLEST_BATCH, _next_size

    assert _next_size(16, 0.1) == 32
    assert _next_size(16, 1.0) == 16
    assert _next_size(16, 5.0) == 8
    assert _next_size(LARGEST_BATCH, 0.1) == LARGEST_BATCH
    assert _next_size(SMALLEST_BATCH, 60.0) == SMALLEST_BATCH


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


def test_what_could_not_be_read_is_tried_again(photos, album, monkeypatch):
    from glimpse.errors import BadItem
    from glimpse.sources import folder

    real = folder.read

    def refuse(path, size=-1):
        if path.name == "a.png":
            raise BadItem("unreadable", FAILURE_CODES["unreadable"])
        return real(path, size)

    monkeypatch.setattr(folder, "read", refuse)
    assert "unreadable" in [failure.code for failure in photos.index(album).failures]
    monkeypatch.undo()
    report = photos.index(album)  # neither size nor time has changed
    assert (report.indexed, [failure.code for failure in report.failures]) == (1, ["unsupported-format"])


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


def test_a_copy_of_a_file_whose_name_is_no_text_is_no_move(photos, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    noise(1).save(os.fsencode(tmp_path / "one") + b"/\xff.png", "PNG")
    photos.index(tmp_path / "one")
    shutil.copy(os.fsencode(tmp_path / "one") + b"/\xff.png", tmp_path / "two" / "copy.png")
    assert photos.index(tmp_path / "two").moved == 0
    assert len(photos) == 2
