"""What the fuzzer (`tools/fuzz`) is made of, a few inputs each time, and a short run of it all among the slower checks."""

import os
import re
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from conftest import noise
from fuzz import child, mutations, seeds
from fuzz.parts import in_boxes, join, split
from fuzz.target import Here, Target
from glimpse.values import FAILURE_CODES

TOOL = Path(__file__).parents[1] / "tools" / "fuzz"

pytestmark = pytest.mark.filterwarnings("ignore")  # workers ignore them, too: hostile files give many


@pytest.fixture(scope="module")
def pictures():
    return seeds.pictures()


@pytest.fixture(scope="module")
def films():
    pytest.importorskip("av", reason="footage needs PyAV: pip install 'glimpse-search[video]'")
    return seeds.films()


@pytest.fixture(scope="module")
def target():
    """The processor's time is the tests' own here: no limit is set; and Pillow's ceiling is put back."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
        patch.setattr("glimpse.workers.child.allow_cpu", lambda _seconds: None)
        yield Target()


def check(outcome):
    assert outcome.escaped == ""
    assert outcome.code in {"", *FAILURE_CODES}


def test_good_files_give_pixels(target, pictures, films):
    assert len(pictures) > 50
    assert len(films) > 5
    assert {target(data).code for data in [*pictures, *films]} == {""}


def test_parts_come_together_again(pictures, films):
    for data in [*pictures, *films]:
        assert join(split(data), data) == data
    film = seeds.film()
    assert in_boxes(film, b"stsz", lambda body: body) == film
    assert b"stsz" not in in_boxes(film, b"stsz", lambda _body: None)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.binary(max_size=300), st.sampled_from(mutations.MAGIC), st.integers(0, 12))
def test_any_bytes_behind_a_magic_number_end_well(target, data, magic, place):
    check(target(data[:place] + magic + data[place:]))
    check(target(magic + data))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.integers(0, 2**32))
def test_any_damage_ends_well(target, pictures, films, seed):
    random = Random(seed)
    given_ = films if random.random() < 0.2 else pictures
    check(target(mutations.damaged(random.choice(given_), random, given_, child.LARGEST)))


def test_damage_is_that_of_the_seed(pictures):
    one, same, other = (mutations.damaged(pictures[0], Random(seed), pictures, 4096) for seed in (1, 1, 2))
    assert one == same != other


def test_what_escapes_is_seen(target, monkeypatch):
    data = seeds.saved(noise(0), "PNG")
    monkeypatch.setattr(Here, "_film", None)
    for error, seen in ((KeyError, "caught"), (SystemExit, "escaped"), (RecursionError, "caught")):
        monkeypatch.setattr(Here, "_picture", lambda *_, error=error: raised(error))
        assert re.match(rf"{error.__name__} at .*test_fuzz.py:\d+", getattr(target(data), seen))


def raised(error):
    raise error


def run(*arguments):
    return subprocess.run(
        [sys.executable, str(TOOL), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


@pytest.mark.slow
def test_the_command_without_atheris(tmp_path):
    done = run("--runs", "300", "--target", "pictures", "--no-atheris", "--artifacts", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "without atheris" in done.stdout
    assert re.search(r"^300 runs in \d+ s", done.stdout, re.MULTILINE)
    assert "ESCAPED" not in done.stdout


@pytest.mark.slow
def test_thousands_of_runs(tmp_path):
    """By atheris where there is one for this Python."""
    done = run("--runs", "2500", "--seed", "7", "--seconds", "60", "--artifacts", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ESCAPED" not in done.stdout
