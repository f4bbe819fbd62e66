"""The main job, with the bundled model: what is asked for is found."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from glimpse import demo as bundled
from glimpse.collection import Collection

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def gallery(demo, tmp_path_factory):
    with Collection(tmp_path_factory.mktemp("demo") / "demo.db", demo) as pictures:
        report = pictures.index(bundled.PICTURES)
        assert [Path(failure.key).name for failure in report.failures] == ["captions.json"]
        yield pictures


def first(gallery, query):
    return Path(gallery.search(query, k=1)[0].key).name


def test_the_five_questions_of_the_demo_are_answered_right(gallery):
    assert {query: first(gallery, query) for query in bundled.QUERIES} == bundled.EXPECTED


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("a carriage", "horse-and-carriage.jpg"),
        ("There is an airplane over a car.", "airplane-over-car.jpg"),
        ("There is a car over an airplane.", "car-over-airplane.jpg"),
    ],
)
def test_the_tutorials_questions_find_their_pictures_among_its_five(demo, query, expected):
    five = [bundled.PICTURES / name for name in bundled.captions()["tutorial"]]
    scores = demo.images(five) @ demo.texts([query])[0]
    assert five[scores.argmax()].name == expected


def test_every_caption_finds_its_picture(gallery):
    captions = bundled.captions()["captions"]
    found = sum(name in [Path(hit.key).name for hit in gallery.search(text, k=3)] for name, text in captions.items())
    assert found / len(captions) >= 0.9


def test_the_picture_as_a_query_finds_itself(gallery):
    for name in ("horse-and-carriage.jpg", "fox-in-the-snow.jpg"):
        assert first(gallery, bundled.PICTURES / name) == name


def test_classify_by_words(demo):
    chances = demo.classify([bundled.PICTURES / "fox-in-the-snow.jpg"], ["a pizza", "a fox", "a ship"], template="{}")
    assert chances[0].argmax() == 1


def test_the_bundle_is_small_enough():
    weight = sum((bundled.MODEL / name).stat().st_size for name in ("model.safetensors", "tokenizer.json"))
    pictures = list(bundled.PICTURES.glob("*.jpg"))
    assert weight <= 4_000_000
    assert len(pictures) >= 56
    assert sum(path.stat().st_size for path in pictures) <= 700_000
    for path in pictures:
        with Image.open(path) as picture:
            assert picture.size == (480, 360)


def test_the_command_prints_answers_and_saves_a_sheet(tmp_path, capsys):
    from glimpse import cli

    assert cli.run(["demo", "-o", str(tmp_path / "sheet.jpg")]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    for query, name in bundled.EXPECTED.items():
        assert name in lines[lines.index(query) + 1]
    assert "glimpse index" in err
    with Image.open(tmp_path / "sheet.jpg") as sheet:
        assert sheet.width > 900


@pytest.mark.slow
def test_the_demo_runs_in_a_namespace_without_a_network(tmp_path):
    if not shutil.which("unshare"):
        pytest.skip("unshare is not installed")
    probe = subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("this user may not make a network namespace")
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-m", "glimpse", "demo", "-o", str(tmp_path / "sheet.jpg")],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "sheet.jpg").is_file()


@pytest.mark.slow
def test_nothing_tries_to_reach_a_network(tmp_path):
    """Every look-up and connection of the whole main job is an error, also from libraries' threads."""
    code = """
import socket, sys
def refuse(*a, **k):
    print("NETWORK", a, file=sys.stderr)
    raise OSError("no network")
socket.getaddrinfo = refuse
socket.socket.connect = refuse
from glimpse import cli
code = cli.run(["demo", "-o", sys.argv[1]])
assert "openvino_telemetry" not in sys.modules and "huggingface_hub" not in sys.modules
sys.exit(code)
"""
    # Without CI in the environment (OpenVINO's converter holds back where it is set), and as a new user.
    environment = {name: value for name, value in os.environ.items() if name != "CI"} | {"HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "s.jpg")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "NETWORK" not in done.stderr


@pytest.mark.slow
def test_the_converter_is_still_there_for_who_asks_for_it():
    code = "import glimpse.runtimes.openvino\nimport openvino\nprint(openvino.convert_model.__name__)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"CI": "true"}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "convert_model\n"


@pytest.mark.slow
def test_the_figures_of_the_demo_model(demo, tmp_path):
    """Held-out scenes, through glimpse's own pixels and towers."""
    from demo_model import evaluate, sprites

    if not sprites.FONT.is_file():
        pytest.skip("Noto Color Emoji is not installed (Debian: fonts-noto-color-emoji)")
    measured = evaluate.evaluate(demo, tmp_path)
    assert measured["retrieval"]["recall_at_1"] >= 0.90
    assert measured["retrieval"]["recall_at_5"] >= 0.98
    assert measured["zero_shot"]["top_1"] >= 0.88
    assert measured["background_colour"]["accuracy"] >= 0.95
    for relation in ("over_under", "left_right"):
        assert measured[relation]["both_right"] >= 0.85  # pairs that never met in training
    written = json.loads((bundled.MODEL / "evaluation.json").read_bytes())
    for check, figures in measured.items():
        for name, value in figures.items():
            assert value == pytest.approx(written[check][name], abs=0.02), (check, name)
