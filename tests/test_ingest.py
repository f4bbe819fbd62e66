"""Everything that the team keeps of odd files, in one run."""

import json
import os

import pytest

from conftest import shared
from glimpse.collection import Collection
from glimpse.decoders import image
from glimpse.values import FAILURE_CODES

PLACES = ("odd", "exif", "photos", "photos unicode", "video")
LENIENT = {"broken_data_stream.png", "chunk_no_fctl.png", "truncated_end_chunk.png"}  # read by a laxer Pillow


def expected_code(entry) -> str | None:
    """The code that an odd file should have by its manifest: empty where it is good, None where several are right."""
    status, name = entry["status"], entry["path"]
    if status == "ok" and entry["format"] in (*image.formats(), "MPO"):
        return ""
    if "DecompressionBomb" in status and not name.endswith(".icns"):
        return "bomb"
    if "UnidentifiedImage" in status or (status == "ok" and not name.endswith((".fli", ".flc"))):
        return "unsupported-format"
    return None


@pytest.fixture(scope="module")
def run(tmp_path_factory, demo):
    """One run over all of it."""
    folders = [shared(f"data/{name}") for name in PLACES]
    with Collection(tmp_path_factory.mktemp("ingest") / "all.db", demo) as collection:
        report = collection.index(*folders)
        yield collection, report, folders


def test_every_file_ends_in_exactly_one_way(run):
    collection, report, folders = run
    files = {str(path) for folder in folders for path in folder.iterdir()}
    failed = {failure.key for failure in report.failures}
    found = {key.partition("#t=")[0] for key in collection}
    assert failed | found == files
    assert not failed & found
    assert report.total == len(files)
    assert report.seconds < 300


def test_bad_files_have_the_right_code_and_our_own_words(run):
    _, report, folders = run
    codes = {os.path.relpath(failure.key, folders[0]): failure.code for failure in report.failures}
    for failure in report.failures:
        assert failure.message == FAILURE_CODES[failure.code]
    assert not {"crashed", "timeout", "memory", "unreadable", "vanished"} & set(codes.values())
    for entry in json.loads((folders[0] / "manifest.json").read_bytes()):
        code = expected_code(entry)
        if code is not None and entry["path"] not in LENIENT:
            assert codes.get(entry["path"], "") == code, entry
    assert {os.path.basename(name): code for name, code in codes.items() if name.startswith("..")} == {
        "not-an-image.txt": "unsupported-format"
    }


def test_good_files_are_found_by_themselves(run):
    collection, _, _ = run
    keys, rows = collection.vectors()
    for key, row in zip(keys, rows, strict=True):
        hits = collection.search(row, k=40, frames=True)  # several of the odd files show the same
        assert key in {hit.key for hit in hits if hit.score > 0.999}


def test_all_orientations_are_the_same_picture(run):
    collection, _, folders = run
    rows = dict(zip(*collection.vectors(), strict=True))
    for kind in ("Landscape", "Portrait"):
        upright = rows[str(folders[1] / f"{kind}_1.jpg")]
        cosines = {n: float(upright @ rows[str(folders[1] / f"{kind}_{n}.jpg")]) for n in range(1, 9)}
        assert min(cosines.values()) >= 0.99, cosines


def test_every_film_has_frames(run):
    collection, _, folders = run
    films = sorted(path.name for path in folders[4].iterdir())
    assert len(films) == collection.counts()["films"] == 7
    for name in films:
        assert collection.store.times(str(folders[4] / name))
