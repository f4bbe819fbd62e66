import io
import json
import tarfile

import pytest

from glimpse.errors import BadItem, UsageError
from glimpse.sources import archive
from glimpse.values import Failure, Item, Region, Selection

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


def pack(path, *members, form=tarfile.PAX_FORMAT, mtime=5):
    with tarfile.open(path, "w", format=form) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), mtime
            tar.addfile(info, io.BytesIO(data))
    return path


def listed(path, **selection):
    return list(archive.items(str(path), Selection(**selection)))


def names(path, **selection):
    return [item.key.removeprefix(f"{path}/") for item in listed(path, **selection) if isinstance(item, Item)]


@pytest.fixture
def tar(tmp_path):
    return tmp_path / "x.tar"


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
def test_members_are_those_that_tarfile_finds(tar, form):
    wanted = [("a/1.jpg", b"x" * 700), ("é" * 40 + ".png", b""), ("b/2.webp", b"y" * 512), ("c", b"z")]
    wanted += [] if form == tarfile.USTAR_FORMAT else [(f"{'long/' * 60}d.jpg", b"d"), ("ü" * 200, b"u")]
    pack(tar, *wanted, form=form)
    found = listed(tar)
    with tarfile.open(tar) as reference:
        theirs = [(one.name, one.offset_data, one.size) for one in reference]
    assert [(item.origin[4], item.origin[2], item.origin[3]) for item in found] == theirs
    assert [archive.read(*item.origin[1:]) for item in found] == [data for _, data in wanted]
    assert archive.region(*found[0].origin[1:]) == Region(str(tar), theirs[0][1], 700)
    assert {item.mtime_ns for item in found} == {5_000_000_000}


def test_texts_beside_a_picture_become_metadata(tar):
    group = [
        ("a/1.jpg", b"J"),
        ("a/1.json", b'{"w": 3, "bad": NaN, "far": 1e999, "half": "\\ud800"}'),
        ("a/1.txt", b"a dog"),
        ("a/1.cls", b" 7 "),
    ]
    alone = [
        ("a/2.jpg", b"J"),
        ("a/2.json", b"[1]"),
        ("a/2.caption", b"\xff"),
        ("a/2.cls", b"cat"),
        ("a/2.npy", b"?"),
        ("a/2.en.txt", b"en"),
    ]
    pack(tar, *group, *alone, ("b/1.png", b"P"), ("b/1.json", b"{"))
    one, two, three = listed(tar)
    assert one.metadata == {"w": 3, "bad": None, "far": None, "half": "?", "txt": "a dog", "cls": 7}
    assert two.metadata == {"json": [1], "caption": "\ufffd", "cls": "cat", "en.txt": "en"}
    assert three.metadata == {}


def test_several_pictures_of_a_group_have_the_same_metadata(tar):
    pack(tar, ("1.txt", b"t"), ("1.left.jpg", b"L"), ("1.right.jpg", b"R"), ("2.jpg", b"2"))
    assert [item.metadata for item in listed(tar)] == [{"txt": "t"}, {"txt": "t"}, {}]


def test_large_texts_are_left_out(tar, monkeypatch):
    monkeypatch.setattr(archive, "BESIDE", 10)
    pack(tar, ("1.jpg", b"J"), ("1.txt", b"x" * 11), ("1.caption", b"x" * 6), ("1.text", b"x" * 6))
    assert listed(tar)[0].metadata == {"caption": "x" * 6}


def test_a_group_without_end_does_not_fill_the_memory(tar, monkeypatch):
    monkeypatch.setattr(archive, "GROUP", 3)
    pack(tar, *((f"1.{number}.jpg", b"J") for number in range(8)))
    assert len(names(tar)) == 8


def test_patterns_and_hidden_names(tar):
    pack(
        tar,
        ("a/1.jpg", b"J"),
        ("a/1.txt", b"t"),
        ("a/2.png", b"P"),
        ("no/3.jpg", b"J"),
        ("a/._1.jpg", b"?"),
        (".h/4.jpg", b"J"),
    )
    assert names(tar) == ["a/1.jpg", "a/2.png", "no/3.jpg"]
    assert names(tar, hidden=True) == ["a/1.jpg", "a/2.png", "no/3.jpg", "a/._1.jpg", ".h/4.jpg"]
    assert names(tar, include=("*.jpg",), exclude=("no/",)) == ["a/1.jpg"]
    assert listed(tar, include=("*.jpg",))[0].metadata == {"txt": "t"}
    assert listed(tar, exclude=("*.txt",))[0].metadata == {}


def test_only_plain_files_are_members(tar):
    with tarfile.open(tar, "w") as writer:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
            info = tarfile.TarInfo(f"x{kind.decode()}.jpg")
            info.type, info.linkname = kind, "/etc/passwd"
            writer.addfile(info)
        sparse = tarfile.TarInfo("sparse.jpg")
        sparse.size, sparse.pax_headers = 3, {"GNU.sparse.major": "1"}
        writer.addfile(sparse, io.BytesIO(b"abc"))
        last = tarfile.TarInfo("last.jpg")
        writer.addfile(last)
    assert names(tar) == ["last.jpg"]


def test_names_are_only_text(tar):
    hostile = ["../../etc/x.jpg", "/absolute.jpg", "new\nline.jpg", "tail.jpg/../x.jpg", "n" * 5000]
    pack(tar, *((name, b"x") for name in hostile))
    assert names(tar) == hostile
    nul = tarfile.TarInfo("x").create_pax_header({**tarfile.TarInfo("x").get_info(), "name": "nul\0.jpg"}, "utf-8")
    tar.write_bytes(nul)
    assert names(tar) in (["nul\\x00.jpg"], ["nul"])
    (item,) = listed(tar)
    assert json.loads(json.dumps(item.origin)) == list(item.origin)


def broken(tar):
    *found, last = listed(tar)
    assert isinstance(last, Failure)
    assert last.key == str(tar)
    return len(found), last.code


def test_a_tar_that_ends_early(tar):
    pack(tar, ("1.jpg", b"x" * 600), ("2.jpg", b"y" * 600), form=tarfile.USTAR_FORMAT)
    whole = tar.read_bytes()
    second = 512 + 1024
    for cut, expected in (
        (second + 512 + 599, (1, "truncated")),
        (second + 100, (1, "truncated")),
        (700, (0, "truncated")),
        (0, (0, "empty")),
    ):
        tar.write_bytes(whole[:cut])
        assert broken(tar) == expected, cut
    tar.write_bytes(whole[: second + 512 + 1024])  # no empty blocks at the end, as `tar` allows
    assert names(tar) == ["1.jpg", "2.jpg"]


def test_a_tar_that_is_damaged(tar):
    pack(tar, ("1.jpg", b"x" * 600), ("2.jpg", b"y" * 600), form=tarfile.USTAR_FORMAT)
    whole = bytearray(tar.read_bytes())
    whole[512 + 1024 + 3] ^= 1
    tar.write_bytes(whole)
    assert broken(tar) == (1, "corrupt")
    tar.write_bytes(b"no tar at all" * 100)
    assert broken(tar) == (0, "corrupt")
    long = tarfile.TarInfo("x")
    long.type, long.size = tarfile.GNUTYPE_LONGNAME, archive.HEADER + 1
    tar.write_bytes(long.tobuf(tarfile.GNU_FORMAT) + b"n" * 2_000_000)
    assert broken(tar) == (0, "corrupt")


def test_bytes_at_random_are_never_an_error(tar):
    import random

    pack(tar, ("1.jpg", b"x" * 600), ("é" * 100, b"y"), ("1.json", b"{}"))
    whole, chance = tar.read_bytes(), random.Random(0)
    for _ in range(300):
        spoiled = bytearray(whole)
        for _ in range(5):
            spoiled[chance.randrange(len(spoiled))] = chance.randrange(256)
        tar.write_bytes(spoiled[: chance.randrange(len(spoiled))])
        assert all(isinstance(one, Item | Failure) for one in listed(tar))


def test_a_compressed_tar_is_refused(tmp_path):
    pack(tmp_path / "x.tar", ("1.jpg", b"x"))
    for kind in ("gz", "bz2", "xz"):
        with tarfile.open(tmp_path / f"x.tar.{kind}", f"w:{kind}") as tar:
            tar.add(tmp_path / "x.tar", "x")
        with pytest.raises(UsageError, match="decompress it first"):
            listed(tmp_path / f"x.tar.{kind}")
    with pytest.raises(UsageError, match="check the name"):
        listed(tmp_path / "none.tar")


def test_globs_of_tars(tmp_path):
    for name in ("a", "b"):
        pack(tmp_path / f"{name}.tar", ("1.jpg", name.encode()))
    glob = f"{tmp_path}/*.tar"
    assert [item.key for item in archive.items(glob)] == [f"{tmp_path}/a.tar/1.jpg", f"{tmp_path}/b.tar/1.jpg"]
    assert archive.covers(glob, f"{tmp_path}/a.tar/1.jpg")
    assert not archive.covers(glob, f"{tmp_path}/a.zip/1.jpg")


def test_what_is_gone(tar):
    pack(tar, ("1.jpg", b"x"), ("2.jpg", b"x"))
    one, two = (item.origin[1:] for item in listed(tar))
    pack(tar, ("0.jpg", b"x" * 2000), ("2.jpg", b"x"))
    assert archive.is_gone(*one)
    assert not archive.is_gone(*two)  # it is elsewhere in the tar now
    tar.write_bytes(tar.read_bytes()[:600])
    assert not archive.is_gone(*one)  # nobody knows what came after
    tar.unlink()
    assert archive.is_gone(*one)
    for where in ((str(tar), 0, 1, "x"), (str(tar.parent), 0, 1, "x")):
        with pytest.raises(BadItem):
            archive.read(*where)


def append(path, *members, mtime=5):
    with tarfile.open(path, "a") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), mtime
            tar.addfile(info, io.BytesIO(data))


def test_of_members_with_the_same_name_the_last_counts(tar):
    pack(tar, ("a/1.jpg", b"old"), ("a/1.txt", b"old text"), ("a/2.jpg", b"2"), ("./3.jpg", b"3"), ("3.jpg", b"33"))
    before = {item.key: item for item in listed(tar)}
    assert list(before) == [f"{tar}/{name}" for name in ("a/1.jpg", "a/2.jpg", "3.jpg")]
    append(tar, ("a/1.jpg", b"new"), ("a/1.txt", b"new text"), mtime=6)
    append(tar, ("a/1.jpg", b"newest"), ("a/1.txt", b"newest text"), mtime=7)
    after = {item.key: item for item in listed(tar)}
    one = f"{tar}/a/1.jpg"
    assert (after[one].size, after[one].mtime_ns, after[one].metadata) == (6, 7_000_000_000, {"txt": "newest text"})
    assert [archive.read(*item.origin[1:]) for item in listed(tar)] == [b"2", b"33", b"newest"]
    with tarfile.open(tar) as reference:
        assert reference.getmember("a/1.jpg").offset_data == after[one].origin[2]


def test_a_text_that_is_there_again_stays_with_its_pictures(tar):
    pack(tar, ("1.jpg", b"1"), ("1.txt", b"text"), ("2.jpg", b"2"), ("1.txt", b"later"))
    assert [item.metadata for item in listed(tar)] == [{"txt": "text"}, {}]


def test_a_tar_without_files_is_a_failure(tar):
    pack(tar)
    assert broken(tar) == (0, "empty")
    with tarfile.open(tar, "w") as writer:
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        writer.addfile(folder)
    assert broken(tar) == (0, "empty")


def test_a_failure_of_the_tar_itself_ends_when_it_is_whole(tar):
    pack(tar, ("1.jpg", b"x" * 600))
    whole = tar.read_bytes()
    tar.write_bytes(whole[:700])
    (failure,) = listed(tar)
    tar.write_bytes(whole)
    assert failure.key not in {item.key for item in listed(tar)}
    assert archive.covers(str(tar), failure.key)  # so what a run does not list any more is forgotten


def test_an_update_and_a_tar_that_is_whole_again_are_noticed(tar, photos, album):
    one, two = ((album / name).read_bytes() for name in ("a.png", "b.jpg"))
    pack(tar, ("1", one), ("2", two))
    assert photos.index(str(tar)).indexed == 2
    append(tar, ("1", two), mtime=6)
    report = photos.index(str(tar))
    assert (report.indexed, report.unchanged, report.removed, report.failures) == (1, 1, 0, ())
    whole = tar.read_bytes()
    tar.write_bytes(whole[:-11000])
    assert [failure.key for failure in photos.index(str(tar)).failures] == [str(tar)]
    tar.write_bytes(whole)
    assert photos.index(str(tar)).failures == ()
    assert photos.failures() == []
    assert len(photos) == 2


def test_times(tar):
    pack(tar, ("1.jpg", b"x"), mtime=1.5)
    assert listed(tar)[0].mtime_ns == 1_500_000_000
    pack(tar, ("1.jpg", b"x"), mtime=0)
    assert listed(tar)[0].mtime_ns == tar.stat().st_mtime_ns
    pack(tar, ("1.jpg", b"x"), mtime=1e30)
    assert listed(tar)[0].mtime_ns < 2**63
