import errno
import json
import os
import shutil
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brute import halves, some
from glimpse.search.codes import Codes
from glimpse.search.files import FACTS, KEPT_QUERIES, Files
from glimpse.search.recall import Reach

ROWS = halves(120)
UMASK = os.umask(0o022)
os.umask(UMASK)
MODEL = "0123456789abcdef" * 4
QUERIES = "0123456789ab.queries"


def facts_of(start, stop):
    facts = np.zeros(stop - start, FACTS)
    facts["frame"] = np.arange(start, stop) + 1
    facts["item"] = np.arange(start, stop) + 9
    facts["time"] = np.where(np.arange(start, stop) % 2, 1.5, -np.inf)
    return facts


def written(folder, count=100, *, coded=True):
    """Files with rows, facts and codes, and what they say of themselves."""
    files = Files(folder)
    with files.changing():
        now = files.appended(files.begun(MODEL, 32), ROWS[:count], facts_of(0, count))
        now = replace(now, commit=7, stamp="ab" * 8, dead=(3, 4), reaches=(Reach(10, 64, 0.9995),), fitted=count)
        if coded:
            now = files.put_codes(now, Codes.made(ROWS[:count], some(20, seed=1)))
        files.keep(now)
    return files, now


@pytest.fixture
def kept(tmp_path):
    return written(tmp_path / "x-search")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Files that nobody changes."""
    return written(tmp_path_factory.mktemp("whole") / "x-search")


def test_what_is_written_is_read_again(kept):
    files, now = kept
    again = Files(files.folder)
    assert again.manifest() == now
    assert (now.rows, now.live, now.coded) == (100, 98, 100)
    assert (again.rows(now) == ROWS[:100]).all()
    assert (again.facts(now) == facts_of(0, 100)).all()
    assert again.is_whole(now)
    turned = again.codes(now).turn.queries(some(3, seed=2))
    made = Codes.made(ROWS[:100], some(20, seed=1))
    assert (again.codes(now).candidates(0, turned, 20) == made.candidates(0, turned, 20)).all()


def test_nothing_there_is_nothing_known(tmp_path):
    files = Files(tmp_path / "none")
    assert files.manifest() is None
    assert files.queries(MODEL, 32).shape == (0, 32)
    assert not files.folder.exists()


def test_files_without_codes_are_not_whole(tmp_path):
    files, now = written(tmp_path, coded=False)
    assert files.manifest() == now
    assert not files.is_whole(now)  # they are made, where they are missing
    with pytest.raises(ValueError, match="^$"):
        files.codes(now)


def test_appending_leaves_what_was_there_as_it_was(kept):
    files, now = kept
    rows, facts = files.rows(now), files.facts(now)
    before = {path.name: path.read_bytes() for path in files.folder.iterdir()}
    with files.changing():
        longer = files.appended(now, ROWS[100:], facts_of(100, 120))
        assert files.manifest() == now  # until it is kept
        assert files.is_whole(now)
        files.keep(longer)
    assert files.manifest() == longer
    for name, content in before.items():
        if name != "search.json":
            assert (files.folder / name).read_bytes()[: len(content)] == content
    assert (rows == ROWS[:100]).all()  # for who reads them still
    assert (facts == facts_of(0, 100)).all()
    assert (files.rows(longer) == ROWS).all()
    assert files.is_whole(longer)


def test_what_was_written_and_never_kept_is_written_over(kept):
    files, now = kept
    files.appended(now, halves(50, seed=8), facts_of(500, 550))  # and then the process was killed
    again = files.appended(now, ROWS[100:110], facts_of(100, 110))
    files.keep(again)
    assert files.is_whole(again)
    assert (files.rows(again) == ROWS[:110]).all()
    assert (files.folder / f"{now.name}.rows").stat().st_size == 110 * 64


def test_a_new_set_takes_the_place_of_the_old_and_leaves_nothing_of_it(kept):
    files, _ = kept
    files.remember(MODEL, some(1))
    for name in ("0123456789ab.rows", "0123456789ab.facts", "ba9876543210.npz", "ba9876543210.queries"):
        (files.folder / name).write_bytes(b"left over")
    (files.folder / "mine.txt").write_text("not ours")
    with files.changing():
        new = files.appended(files.begun(MODEL, 32), ROWS[:5], facts_of(0, 5))
        files.keep(new)
    assert (files.rows(new) == ROWS[:5]).all()
    names = {"mine.txt", "lock", "search.json", QUERIES, f"{new.name}.rows", f"{new.name}.facts"}
    assert {path.name for path in files.folder.iterdir()} == names


def test_parts_that_a_killed_process_left_are_taken_away(kept):
    files, now = kept
    part = files.folder / ".ba9876543210.npz.4000000-1.part"
    part.write_bytes(b"half of it")
    with files.changing():
        files.keep(now)
    assert not part.exists()


def test_new_codes_take_the_place_of_old_ones(kept):
    files, now = kept
    with files.changing():
        longer = files.appended(now, ROWS[100:], facts_of(100, 120))
        codes = files.codes(longer)
        codes.add(ROWS[100:])
        longer = files.put_codes(longer, codes)
        files.keep(longer)
    assert [path.name for path in files.folder.glob("*.npz")] == [f"{longer.codes}.npz"]
    assert longer.codes != now.codes
    assert len(files.codes(longer)) == 120


def test_forgotten_files_are_not_believed(kept):
    files, now = kept
    files.forget(now)
    files.forget(now)
    assert files.manifest() is None


def test_files_that_another_process_made_meanwhile_are_not_forgotten(kept):
    files, now = kept
    with files.changing():
        new = files.appended(files.begun(MODEL, 32), ROWS[:5], facts_of(0, 5))
        files.keep(new)
    files.forget(now)
    assert files.manifest() == new


def test_new_files_that_will_not_be_kept_are_dropped(kept):
    files, now = kept
    before = sorted(files.folder.iterdir())
    new = files.appended(files.begun(MODEL, 32), ROWS[:5], facts_of(0, 5))
    files.drop(new.name)
    files.drop(new.name)
    assert sorted(files.folder.iterdir()) == before
    assert files.is_whole(now)


def test_a_process_that_comes_to_no_end_is_not_waited_for_for_ever(kept, monkeypatch):
    files, _ = kept
    monkeypatch.setattr("glimpse.search.files.PATIENCE", 0.1)
    with files.changing(), pytest.raises(BlockingIOError), Files(files.folder).changing():
        pass
    with Files(files.folder).changing():
        pass


def test_the_folder_is_for_those_it_is_said_to_be_for(tmp_path):
    for mode in (0o700, 0o755):
        files = Files(tmp_path / f"{mode}", mode)
        with files.changing():
            assert files.folder.stat().st_mode & 0o777 == mode & ~UMASK


# Damage


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_manifest_with_a_flipped_bit_says_the_same_or_nothing(whole, tmp_path, data):
    files, now = whole
    content = bytearray((files.folder / "search.json").read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    (tmp_path / "search.json").write_bytes(content)
    assert Files(tmp_path).manifest() in (None, now)


@pytest.mark.parametrize("content", ["", "{", "[]", "7", "null", '"sum"', "{}", '{"sum": 1}', "\x00" * 50])
def test_a_manifest_that_is_none_is_not_believed(tmp_path, content):
    (tmp_path / "search.json").write_text(content)
    assert Files(tmp_path).manifest() is None


def test_a_manifest_cut_short_is_not_believed(whole, tmp_path):
    content = (whole[0].folder / "search.json").read_bytes()
    for size in range(0, len(content), 7):
        (tmp_path / "search.json").write_bytes(content[:size])
        assert Files(tmp_path).manifest() is None


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"strange": 1},
        {"name": None},
        {"name": "../../../etc"},
        {"name": "0123456789AB"},
        {"codes": "../codes"},
        {"codes": 7},
        {"name": ["0123456789ab"]},
    ],
)
def test_a_manifest_of_another_format_is_not_believed(kept, change):
    files, _ = kept
    path = files.folder / "search.json"
    said = json.loads(path.read_bytes()) | change
    said.pop("sum")
    said = {name: value for name, value in said.items() if value is not None}
    path.write_text(json.dumps(said | {"sum": zlib.crc32(json.dumps(said, sort_keys=True).encode())}))
    assert files.manifest() is None


@pytest.mark.parametrize("kind", ["rows", "facts", "npz"])
def test_files_cut_short_or_gone_are_refused(whole, tmp_path, kind):
    files, now = Files(tmp_path / "copy"), whole[1]
    read = {"rows": files.rows, "facts": files.facts}.get(kind, files.codes)
    for left in (-1, 17, 0, None):
        shutil.rmtree(files.folder, ignore_errors=True)
        shutil.copytree(whole[0].folder, files.folder)
        path = files.folder / f"{now.codes if kind == 'npz' else now.name}.{kind}"
        path.unlink() if left is None else os.truncate(path, left if left >= 0 else path.stat().st_size - 1)
        with pytest.raises(ValueError, match="^[^ ]*|mmap"):
            read(now)
        assert not files.is_whole(now)


@pytest.mark.parametrize("kind", ["rows", "facts"])
def test_every_flipped_byte_of_rows_and_facts_is_noticed(kept, kind):
    files, now = kept
    path = files.folder / f"{now.name}.{kind}"
    content = path.read_bytes()
    for place in range(0, len(content), 101):
        path.write_bytes(content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :])
        assert not files.is_whole(now)
        if kind == "facts":
            with pytest.raises(ValueError, match=now.name):
                files.facts(now)


@pytest.mark.parametrize("read", ["rows", "facts", "codes"])
def test_a_disk_that_cannot_be_read_is_not_taken_for_damage(kept, read, monkeypatch):
    files, now = kept

    def broken(*_args, **_kwargs):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("pathlib.Path.open", broken)
    monkeypatch.setattr("numpy.memmap", broken)
    with pytest.raises(OSError, match="Input/output"):
        getattr(files, read)(now)


def codes_of(files, now):
    return files.folder / f"{now.codes}.npz"


def refused(files, now):
    """Whether codes are refused as what was not written; any other exception goes through."""
    try:
        files.codes(now)
    except ValueError:
        return True
    return False


def test_a_flipped_byte_in_the_codes_themselves_is_noticed(kept):
    files, now = kept
    path = codes_of(files, now)
    content = path.read_bytes()
    data = content.find(b"codes-0.npy") + 200  # behind the header
    for place in range(data, data + 900, 100):
        path.write_bytes(content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :])
        assert refused(files, now)
        assert not files.is_whole(now)


def test_whatever_byte_of_the_codes_is_flipped_they_are_refused_or_the_same(kept):
    files, now = kept
    path = codes_of(files, now)
    content, true = path.read_bytes(), files.codes(now)
    headers = [*range(0, 400, 3), *range(len(content) - 700, len(content), 3)]
    for place in headers:
        path.write_bytes(content[:place] + bytes([content[place] ^ (1 << place % 8)]) + content[place + 1 :])
        if not refused(files, now):
            found, wanted = files.codes(now).arrays(), true.arrays()
            assert all((array == wanted[name]).all() for name, array in found.items())


def test_codes_of_fewer_rows_than_are_said_are_refused(kept):
    files, now = kept
    assert refused(files, replace(now, coded=110))


# What was asked


def remembered(asked, rows):
    """Whether each of these rows, and nothing else, was asked; in what order is not kept."""
    return len(asked) == len(rows) and (asked @ rows.T > 0.9999).any(1).all() and (rows @ asked.T > 0.9999).any(1).all()


def test_what_was_asked_is_remembered_without_words(kept):
    files, _ = kept
    files.remember(MODEL, some(2))
    files.remember(MODEL, some(1, seed=1))
    asked = files.queries(MODEL, 32)
    assert asked.dtype == np.float32
    assert remembered(asked, np.concatenate([some(2), some(1, seed=1)]))
    assert np.abs(np.linalg.norm(asked, axis=1) - 1).max() < 1e-6
    assert (files.folder / QUERIES).stat().st_size == 3 * 64


def test_what_is_asked_daily_counts_once(kept):
    files, _ = kept
    for _ in range(5):
        files.remember(MODEL, some(2))
    assert remembered(files.queries(MODEL, 32), some(2))


def test_what_was_asked_of_another_model_does_not_count(kept):
    files, _ = kept
    files.remember(MODEL, some(2))
    files.remember("f" * 64, some(3, 48, seed=1))
    assert remembered(files.queries(MODEL, 32), some(2))
    assert remembered(files.queries("f" * 64, 48), some(3, 48, seed=1))


def test_only_the_last_are_kept(kept):
    files, _ = kept
    for turn in range(8):
        files.remember(MODEL, some(400, seed=turn))
        asked = files.queries(MODEL, 32)
        assert len(asked) == min(KEPT_QUERIES, 400 * (turn + 1))
        assert ((some(400, seed=turn) @ asked.T).max(1) > 0.9999).all()
    assert (files.folder / QUERIES).stat().st_size <= (2 * KEPT_QUERIES + 400) * 64


def test_rows_that_are_none_are_left_out(kept):
    files, _ = kept
    strange = np.concatenate([some(1), np.zeros((1, 32)), np.full((1, 32), np.nan), np.ones((1, 32)), some(1, seed=1)])
    (files.folder / QUERIES).write_bytes(strange.astype(np.float16).tobytes())
    assert len(files.queries(MODEL, 32)) == 2


def test_what_was_asked_last_may_be_cut_short(kept):
    files, _ = kept
    files.remember(MODEL, some(3))
    os.truncate(files.folder / QUERIES, 2 * 64 + 31)
    assert remembered(files.queries(MODEL, 32), some(3)[:2])


@pytest.mark.parametrize("left", [1, 30, 31])
def test_what_is_asked_after_a_row_that_was_cut_short_is_remembered(kept, left):
    files, _ = kept
    files.remember(MODEL, some(3))
    os.truncate(files.folder / QUERIES, 2 * 64 + left)
    files.remember(MODEL, some(4, seed=1))
    assert remembered(files.queries(MODEL, 32), np.concatenate([some(3)[:2], some(4, seed=1)]))


def test_that_nothing_can_be_written_matters_to_nobody(kept, monkeypatch):
    files, _ = kept

    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pathlib.Path.open", full)
    files.remember(MODEL, some(1))
    assert len(files.queries(MODEL, 32)) == 0
