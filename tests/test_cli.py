import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from conftest import noise
from glimpse import cli
from glimpse.collection import Collection
from glimpse.database import writing


@pytest.fixture
def glimpse(capsys, tmp_path, golden):
    """Run a command with a tiny model; gives (exit code, standard output, standard error)."""
    model = str(golden("hf-clip-gelu").folder)
    database = str(tmp_path / "cli.db")

    def run(*arguments):
        said = [str(one).replace("MODEL", model).replace("DB", database) for one in arguments]
        code = cli.run(said)
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return code, out, err

    return run


@pytest.fixture
def indexed(glimpse, album):
    (album / "notes.txt").unlink()
    assert glimpse("index", album, "-c", "DB", "-m", "MODEL")[0] == 0
    return album


def test_index_names_what_failed_and_exits_with_1(glimpse, album):
    code, out, err = glimpse("index", album, "-c", "DB", "-m", "MODEL")
    assert code == 1
    assert out == ""
    assert (
        f"failed: {album / 'notes.txt'}: not a picture or film in a format that glimpse opens (unsupported-format)"
        in err
    )
    assert "4 indexed, 0 unchanged, 1 failed" in err
    assert "indexing: 5/5" in err  # plain lines where there is no terminal


def test_errors_lists_filters_and_writes_what_failed(glimpse, album, tmp_path):
    (album / "cut.jpg").write_bytes((album / "b.jpg").read_bytes()[:900])
    (album / "inner" / '=1, "x".txt').write_text("no picture")
    glimpse("index", album, "-c", "DB", "-m", "MODEL")
    code, out, err = glimpse("errors", "-c", "DB")
    assert (code, err) == (0, "")
    assert [line.split("\t")[:2] for line in out.splitlines()] == [
        ["truncated", str(album / "cut.jpg")],
        ["unsupported-format", str(album / "inner" / '=1, "x".txt')],
        ["unsupported-format", str(album / "notes.txt")],
    ]
    _, out, _ = glimpse("errors", album / "inner", "-c", "DB", "--json", "--code", "unsupported-format")
    assert [failure["key"] for failure in json.loads(out)] == [str(album / "inner" / '=1, "x".txt')]
    _, _, err = glimpse("errors", "-c", "DB", "--code", "truncated", "-o", tmp_path / "x.csv")
    assert err == f"1 failures in {tmp_path / 'x.csv'}\n"
    glimpse("errors", "-c", "DB", "-o", tmp_path / "x.json")
    with (tmp_path / "x.csv").open(newline="") as stream:
        assert [row["key"] for row in csv.DictReader(stream)] == [str(album / "cut.jpg")]
    assert json.loads((tmp_path / "x.json").read_text())[0]["code"] == "truncated"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--code", "broken"), "choose from unsupported-format"),
        (("-o", "x.txt"), "neither .csv nor .json"),
    ],
)
def test_errors_that_are_asked_for_wrongly(glimpse, indexed, arguments, sentence):
    code, _, err = glimpse("errors", "-c", "DB", *arguments)
    assert code == 2
    assert sentence in err


def test_what_failed_is_tried_again_when_asked_for(glimpse, album):
    path = album / "notes.txt"
    data = io.BytesIO()
    noise(9).save(data, "png")
    path.write_bytes(b"x" * len(data.getvalue()))
    stat = path.stat()
    glimpse("index", album, "-c", "DB", "-m", "MODEL")
    path.write_bytes(data.getvalue())
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert glimpse("index", album, "-c", "DB")[0] == 1  # same size and time: not looked at
    code, _, err = glimpse("index", album, "-c", "DB", "--retry-failed")
    assert code == 0
    assert "1 indexed, 4 unchanged, 0 failed" in err


def test_index_as_json(glimpse, album):
    code, out, _ = glimpse("index", album, "-c", "DB", "-m", "MODEL", "--json")
    report = json.loads(out)
    assert (code, report["indexed"], report["failures"][0]["code"]) == (1, 4, "unsupported-format")


def test_index_again_needs_no_model_name(glimpse, indexed):
    code, _, err = glimpse("index", indexed, "-c", "DB")
    assert code == 0
    assert "0 indexed, 4 unchanged" in err


def test_search_prints_scores_and_paths_best_first(glimpse, indexed):
    code, out, _ = glimpse("search", "a carriage", "-c", "DB", "-k", "3")
    rows = [line.split("\t") for line in out.splitlines()]
    assert code == 0
    assert len(rows) == 3
    assert all(Path(path).exists() for _, path in rows)
    assert [float(score) for score, _ in rows] == sorted((float(score) for score, _ in rows), reverse=True)


def test_search_by_picture_and_key_as_json(glimpse, indexed):
    picture = indexed / "a.png"
    _, out, _ = glimpse("search", "--image", picture, "-c", "DB", "--json")
    first = json.loads(out)[0]
    assert first["key"] == str(picture)
    assert first["score"] == pytest.approx(1, abs=1e-3)
    _, out, _ = glimpse("search", "--key", picture, "-c", "DB", "--json")
    assert len(json.loads(out)) == 3


def test_a_key_may_be_named_from_where_one_stands(glimpse, indexed, monkeypatch):
    monkeypatch.chdir(indexed)
    assert glimpse("search", "--key", "inner/c.webp", "-c", "DB")[0] == 0


def test_many_failures_are_not_all_printed(glimpse, tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    for place in range(30):
        (folder / f"{place:02}.txt").write_text("no picture")
    err = glimpse("index", folder, "-c", "DB", "-m", "MODEL")[2]
    assert err.count("failed: ") == 20
    assert "… and 10 more: `glimpse errors` names them all" in err
    assert glimpse("status", "-c", "DB")[2].count("failed: ") == 20
    assert len(glimpse("errors", "-c", "DB")[1].splitlines()) == 30


def test_embed_pictures(glimpse, album, tmp_path, tiny):
    code, _, err = glimpse("embed", album, "-o", tmp_path / "v.npy", "-m", "MODEL")
    assert code == 1  # the text file, named
    assert "notes.txt" in err
    keys = json.loads((tmp_path / "v.keys.json").read_text())
    rows = np.load(tmp_path / "v.npy")
    assert rows.shape == (4, tiny.dim)
    assert rows.dtype == np.float32
    for key, row in zip(keys, rows, strict=True):
        assert row @ tiny.images([key])[0] > 0.999


def test_embed_texts_to_parquet(glimpse, tmp_path, tiny):
    parquet = pytest.importorskip("pyarrow.parquet")
    (tmp_path / "t.txt").write_text("a carriage\n\nein Café\n", "utf-8")
    code, _, _ = glimpse("embed", "--texts", tmp_path / "t.txt", "-o", tmp_path / "t.parquet", "-m", "MODEL")
    table = parquet.read_table(tmp_path / "t.parquet").to_pydict()
    assert code == 0
    assert table["key"] == ["a carriage", "ein Café"]
    assert np.array(table["vector"][1]) @ tiny.texts(["ein Café"])[0] > 0.999


def test_classify(glimpse, indexed):
    code, out, _ = glimpse("classify", indexed / "a.png", "-l", "cat", "-l", "dog", "-m", "MODEL", "--json")
    answer = json.loads(out)[0]
    assert code == 0
    assert answer["key"] == str(indexed / "a.png")
    assert sum(answer["probabilities"].values()) == pytest.approx(1)
    _, out, _ = glimpse("classify", indexed / "a.png", "-l", "cat", "-l", "dog", "-m", "MODEL")
    assert out.split("\t")[1] in {"cat", "dog"}


def test_models_lists_names_sizes_and_what_is_not_supported(glimpse):
    code, out, err = glimpse("models")
    assert code == 0
    assert "demo\t" in out
    assert "ViT-B-32-256/datacomp_s34b_b86k\t256\t512\tclip\t" in out
    assert "ViT-B-16-SigLIP/webli\t224\t768\tsiglip\t" in out
    assert "RN50" not in out
    assert "not supported yet" in err
    assert "RN50/openai\t224\t1024\tresnet\tnot supported yet" in glimpse("models", "rn50", "--all")[1]
    assert len(json.loads(glimpse("models", "--json")[1])) > 190


def test_status(glimpse, album):
    glimpse("index", album, "-c", "DB", "-m", "MODEL")
    code, out, err = glimpse("status", "-c", "DB")
    assert code == 0
    assert "pictures\t4" in out
    assert "failed\t1 unsupported-format" in out
    assert "notes.txt" in err
    facts = json.loads(glimpse("status", "-c", "DB", "--json")[1])
    assert facts["items"] == 4
    assert facts["model"]["dim"] == 32
    assert facts["failures"][0]["code"] == "unsupported-format"


def test_doctor(glimpse):
    code, out, _ = glimpse("doctor")
    assert code == 0
    for fact in ("openvino", "processor", "runtime numpy\tworks", "cache folder", "sends anything home\tno"):
        assert fact in out
    assert json.loads(glimpse("doctor", "--json")[1])["numpy"] == np.__version__


# Wrong use: a sentence and exit code 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["index", "/no/such/folder"], "there is no file or folder /no/such/folder"),
        (["index", "EMPTY", "-c", "DB", "-m", "MODEL"], "there are no files in"),
        (["index"], "Missing argument"),
        (["index", "EMPTY/..", "-m", "ViT-B-32/opnai"], "did you mean"),
        (["index", "EMPTY/..", "-m", "RN50/openai"], "resnet family"),
        (["index", "EMPTY/..", "-c", "EMPTY"], "is a folder"),
        (["index", "EMPTY/..", "-c", "FOREIGN"], "not a glimpse collection"),
        (["search", "x", "-c", "NONE"], "there is no collection"),
        (["search", "-c", "DB"], "say what to look for"),
        (["search", "x", "--key", "y"], "only one of them"),
        (["search", "", "-c", "FULL"], "the search text is empty"),
        (["search", "--key", "nobody", "-c", "FULL"], "there is no item nobody"),
        (["search", "x", "-c", "FULL", "-m", "OTHER"], "was made with"),
        (["search", "x", "-k", "0"], "Invalid value"),
        (["search", "x", "-c", "FULL", "--after", "tomorrow"], "give a day"),
        (["search", "x", "-c", "FULL", "--where", "title"], "NAME=VALUE"),
        (["search", "x", "-c", "FULL", "--in", "\udcff"], "no item can have"),
        (["embed", "-o", "x.npy"], "say what to embed"),
        (["embed", "EMPTY/..", "-o", "x.csv"], "neither .npy nor .parquet"),
        (["embed", "EMPTY/..", "-o", "/no/folder/x.npy"], "there is no folder"),
        (["embed", "--texts", "/no/file", "-o", "x.npy"], "cannot be read as UTF-8 text"),
        (["classify", "EMPTY/.."], "Missing option"),
        (["classify", "EMPTY", "-l", "cat"], "there are no files"),
        (["embed", "EMPTY/..", "-o", "x.npy", "-m", "MODEL", "--precision", "float8"], "choose"),
        (["status", "-c", "NONE"], "there is no collection"),
        (["dance"], "No such command"),
        (["index", "~nouser/x", "-m", "MODEL"], "there is no file or folder"),
        (["status", "-c", "x" * 300], "there is no collection"),
        (["search", "\udcff", "-c", "FULL"], "no UTF-8"),
        (["classify", "EMPTY/../album/a.png", "-l", "cat", "-l", "cat", "-m", "MODEL"], "twice"),
        (["embed", "EMPTY/../album", "-o", "EMPTY"], "neither .npy"),
        (["demo", "-o", "/no/folder/x.jpg"], "cannot be written"),
    ],
)
def test_wrong_use_gets_a_sentence(glimpse, golden, tmp_path, album, arguments, said):
    (tmp_path / "empty").mkdir()
    (tmp_path / "foreign").write_text("a letter " * 1000)
    if "FULL" in arguments:
        assert glimpse("index", album / "a.png", "-c", tmp_path / "full.db", "-m", "MODEL")[0] == 0
    places = {"EMPTY": tmp_path / "empty", "FOREIGN": tmp_path / "foreign", "NONE": tmp_path / "none.db"}
    places |= {"FULL": tmp_path / "full.db", "OTHER": golden("hf-clip-quickgelu").folder}
    for name, place in places.items():
        arguments = [argument.replace(name, str(place)) for argument in arguments]
    code, out, err = glimpse(*arguments)
    assert (code, out) == (2, "")
    assert said in err


def test_a_bad_query_picture_is_a_failed_item(glimpse, indexed):
    (indexed / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 40)
    code, _, err = glimpse("search", "--image", indexed / "bad.png", "-c", "DB")
    assert code == 1
    assert "bad.png" in err


def test_a_defect_is_called_one(glimpse, monkeypatch, indexed):
    monkeypatch.setattr(Collection, "search", lambda *_, **__: 1 / 0)
    code, _, err = glimpse("search", "x", "-c", "DB")
    assert (code, "this is a defect in glimpse (ZeroDivisionError)" in err) == (70, True)


def test_hostile_names_do_not_reach_the_terminal(glimpse, tmp_path):
    folder = tmp_path / "hostile"
    folder.mkdir()
    noise(1).save(folder / "\x1b[2J\u202egnp.png")
    glimpse("index", folder, "-c", "DB", "-m", "MODEL")
    out = glimpse("search", "x", "-c", "DB")[1]
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "\\x1b[2J" in out


# Whole processes


def process(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "glimpse", *map(str, arguments)], capture_output=True, text=True, check=False, **options
    )


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom glimpse import cli\ncli.run(['--help'])\n"
        "heavy = {'numpy', 'openvino', 'PIL', 'rich', 'huggingface_hub', 'tokenizers'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "glimpse demo" in done.stdout


def test_a_closed_pipe_is_quiet(golden, album, tmp_path):
    done = subprocess.run(
        f"{sys.executable} -m glimpse models --all | head -n 1", shell=True, capture_output=True, text=True, check=True
    )
    assert done.stdout.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


@pytest.fixture
def slow_run(golden, tmp_path):
    """Start indexing 600 pictures with the slow runtime, and wait until some are stored; gives process, folder, file."""
    folder, database = tmp_path / "many", tmp_path / "c.db"
    folder.mkdir()
    for seed in range(600):
        noise(seed, (30, 20)).save(folder / f"{seed:03}.bmp")
    command = [sys.executable, "-m", "glimpse", "index", folder, "-c", database, "--runtime", "numpy"]
    running = subprocess.Popen(
        [*map(str, command), "-m", str(golden("hf-clip-gelu").folder)],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    assert "indexing: 0/600" in running.stderr.readline()
    with Collection(database) as reader:
        while not len(reader):
            assert running.poll() is None
            time.sleep(0.01)
    yield running, folder, database
    running.kill()
    running.wait()
    running.stderr.close()


def test_ctrl_c_keeps_what_was_done(slow_run):
    running, folder, database = slow_run
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == cli.INTERRUPTED, err
    assert "stopped; " in err
    with Collection(database) as kept:
        before = len(kept)
        assert 0 < before < 600
    again = process("index", folder, "-c", database)
    assert again.returncode == 0
    assert f"{600 - before} indexed, {before} unchanged" in again.stderr


def test_kill_9_loses_nothing_that_was_stored(slow_run):
    running, folder, database = slow_run
    with Collection(database) as reader:
        acknowledged = set(reader)
    running.kill()
    running.wait()
    with Collection(database) as kept:
        assert kept.store.one("PRAGMA integrity_check") == ("ok",)
        assert acknowledged <= set(kept)
        assert 0 < len(kept) < 600
        assert np.allclose(np.linalg.norm(kept.vectors()[1], axis=1), 1, atol=1e-6)
    assert process("index", folder, "-c", database).returncode == 0


def test_a_terminal_without_unicode_shows_escapes(golden, tmp_path):
    (tmp_path / "album").mkdir()
    noise(1).save(tmp_path / "album" / "鳥.png")
    ascii_only = os.environ | {"PYTHONIOENCODING": "ascii"}
    model = golden("hf-clip-gelu").folder
    process("index", tmp_path / "album", "-c", tmp_path / "c.db", "-m", model, env=ascii_only)
    done = process("search", "x", "-c", tmp_path / "c.db", env=ascii_only)
    assert done.returncode == 0
    assert "\\u9ce5.png" in done.stdout


@pytest.mark.parametrize("redirection", [">&-", "2>&-", ">/dev/full", "| head -c 1", "2>/dev/full"])
def test_outputs_that_cannot_be_written_are_no_defect(indexed, tmp_path, redirection):
    command = f"{sys.executable} -m glimpse search x -c {tmp_path / 'cli.db'} {redirection}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, timeout=60)
    assert "defect" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_indexing_goes_on_when_nobody_listens(golden, album, tmp_path):
    command = f"{sys.executable} -m glimpse index {album} -c {tmp_path / 'c.db'} -m {golden('hf-clip-gelu').folder} 2>/dev/full"
    subprocess.run(["bash", "-c", command], check=False, timeout=60)
    with Collection(tmp_path / "c.db") as stored:
        assert len(stored) == 4


# Films, places, and other things that index takes


@pytest.fixture
def theatre(tmp_path):
    from films import film, scene

    folder = tmp_path / "theatre"
    folder.mkdir()
    film(folder / "five.mp4", [scene(number) for number in range(5)])
    scene(3).save(folder / "still.png")
    return folder


def test_films_are_answered_with_time_codes(glimpse, theatre):
    code, _, err = glimpse("index", theatre, "-c", "DB", "-m", "MODEL")
    assert code == 0
    assert "2 indexed (6 frames)" in err
    assert "1 pictures and 5 frames of 1 films in" in err
    assert "decoding" in err
    query = ("search", "--image", theatre / "still.png", "-c", "DB")
    _, out, _ = glimpse(*query)
    assert [line.split("\t")[1:] for line in out.splitlines()] == [
        [str(theatre / "still.png"), ""],
        [str(theatre / "five.mp4"), "0:06.000"],
    ]
    _, out, _ = glimpse(*query, "--moments")
    assert out.splitlines()[1].split("\t")[1:] == [str(theatre / "five.mp4"), "0:06.000", "0:06.000–0:08.000"]
    _, out, _ = glimpse(*query, "--moments", "--json", "-k", 2)
    still, film = json.loads(out)
    assert set(still) == {"key", "score"}
    assert (film["key"], film["item"], film["time"]) == (
        f"{theatre / 'five.mp4'}#t=6.000",
        str(theatre / "five.mp4"),
        6.0,
    )
    assert film["moments"][0] | {"score": 0} == {"start": 6.0, "end": 8.0, "key": film["key"], "score": 0}
    _, out, _ = glimpse(*query, "--frames", "-k", 9)
    assert len(out.splitlines()) == 6
    _, out, _ = glimpse("status", "-c", "DB")
    assert "1, with 5 frames" in out


def test_the_report_as_json_has_the_profile(glimpse, theatre):
    _, out, _ = glimpse("index", theatre, "-c", "DB", "-m", "MODEL", "--json")
    report = json.loads(out)
    assert set(report["stages"]) == {"reading", "decoding", "encoding", "storing"}
    assert report["bottleneck"] in report["stages"]
    assert (report["indexed"], report["frames"]) == (2, 6)


def test_sampling_by_seconds_and_keyframes(glimpse, theatre):
    glimpse("index", theatre, "-c", "DB", "-m", "MODEL", "--sampling", "4")
    assert json.loads(glimpse("status", "-c", "DB", "--json")[1])["frames"] == 3
    glimpse("index", theatre, "-c", "DB", "--sampling", "keyframes")
    assert json.loads(glimpse("status", "-c", "DB", "--json")[1])["frames"] >= 1
    for wrong in ("0", "-1", "often", "inf", "nan"):
        code, _, err = glimpse("index", theatre, "-c", "DB", "--sampling", wrong)
        assert (code, "choose shots, keyframes" in err) == (2, True)


def test_thumbnail(glimpse, theatre, tmp_path, monkeypatch):
    from PIL import Image

    glimpse("index", theatre, "-c", "DB", "-m", "MODEL")
    monkeypatch.chdir(theatre)
    for key in ("five.mp4#t=6.000", f"{theatre / 'five.mp4'}#t=6.000", "still.png"):
        code, _, err = glimpse("thumbnail", key, "-o", tmp_path / "x.png", "-c", "DB", "--size", 48)
        assert (code, "48 × 32 pixels" in err) == (0, True), err
        with Image.open(tmp_path / "x.png") as small:
            assert small.size == (48, 32)
    assert glimpse("thumbnail", "nobody", "-o", tmp_path / "x.png", "-c", "DB")[0] == 2
    (theatre / "still.png").unlink()
    code, _, err = glimpse("thumbnail", "still.png", "-o", tmp_path / "x.png", "-c", "DB")
    assert (code, "there is no such file" in err) == (1, True)


def test_include_exclude_hidden_and_small_ones(glimpse, album):
    noise(60).save(album / ".hidden.png")
    noise(61, (9, 9)).save(album / "small.png")
    options = ("--include", "*.png", "--include", "*.gif", "--exclude", "inner/", "--hidden", "--min-side", 10)
    code, out, _ = glimpse("index", album, "-c", "DB", "-m", "MODEL", "--json", *options)
    report = json.loads(out)
    assert (code, report["indexed"]) == (1, 2)
    assert [(Path(one["key"]).name, one["code"]) for one in report["failures"]] == [("small.png", "too-small")]


def test_a_table_with_metadata(glimpse, album, tmp_path):
    lines = [{"picture file": "album/a.png", "title": "a fox"}, {"picture file": "album/b.jpg", "title": "鳥"}]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, lines)))
    code, _, err = glimpse("index", tmp_path / "t.jsonl", "-c", "DB", "-m", "MODEL")
    assert (code, "--column" in err) == (2, True)
    assert glimpse("index", tmp_path / "t.jsonl", "-c", "DB", "-m", "MODEL", "--column", "picture file")[0] == 0
    _, out, _ = glimpse("search", "--image", album / "b.jpg", "-c", "DB", "--json")
    assert json.loads(out)[0]["metadata"] == {"title": "鳥"}
    assert json.loads(out)[0]["key"] == str(album / "b.jpg")
    _, out, _ = glimpse("search", "x", "-c", "DB", "--where", "title=a fox", "--json")
    assert [hit["key"] for hit in json.loads(out)] == [str(album / "a.png")]


def test_filters_say_what_may_be_found(glimpse, indexed, monkeypatch):
    def found(*options):
        return {Path(hit["key"]).name for hit in json.loads(glimpse("search", "x", "-c", "DB", "--json", *options)[1])}

    every = found()
    os.utime(indexed / "a.png", (0, 86_400 * 365))
    glimpse("index", indexed, "-c", "DB")
    monkeypatch.chdir(indexed)
    assert found("--in", "inner") == {path.name for path in (indexed / "inner").iterdir()} != every
    assert found("--before", "2000-01-01") == {"a.png"}
    assert found("--after", "2000-01-01", "--kind", "picture") == every - {"a.png"}
    assert "nothing was found" in glimpse("search", "x", "-c", "DB", "--kind", "film")[2]


def test_status_says_how_well_many_are_searched(glimpse, indexed, monkeypatch, tmp_path):
    assert "search\texact" in glimpse("status", "-c", "DB")[1]
    monkeypatch.setattr("glimpse.upkeep.MANY", 3)
    assert "the next search sees to it" in glimpse("status", "-c", "DB")[1]
    _, few, _ = glimpse("search", "x", "-c", "DB")
    assert "search\texact, of 4 vectors" in glimpse("status", "-c", "DB")[1]  # too few to measure the ten best of
    assert json.loads(glimpse("status", "-c", "DB", "--json")[1])["search"]["vectors"] == 4
    monkeypatch.undo()
    assert glimpse("search", "x", "-c", "DB")[1] == few


def test_a_list_on_standard_input(album, tmp_path, golden):
    command = [sys.executable, "-m", "glimpse", "index", "-", "-c", str(tmp_path / "l.db"), "--json"]
    found = "\n".join(map(str, [album / "a.png", album / "inner", album / "nowhere.png"]))
    done = subprocess.run(
        [*command, "-m", str(golden("hf-clip-gelu").folder)], input=found, capture_output=True, text=True, check=False
    )
    report = json.loads(done.stdout)
    assert (done.returncode, report["indexed"]) == (1, 3)
    assert [one["code"] for one in report["failures"]] == ["vanished"]


def started(golden, *arguments):
    command = [sys.executable, "-m", "glimpse", *map(str, arguments), "-m", str(golden("hf-clip-gelu").folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_watching_ends_with_a_signal(album, tmp_path, golden):
    pytest.importorskip("watchfiles")
    with started(golden, "index", album, "-c", tmp_path / "w.db", "--watch") as running:
        for line in running.stderr:
            if "watching for changes" in line:
                break
        time.sleep(1.5)
        noise(70).save(album / "new.png")
        for line in running.stderr:
            if "1 indexed" in line:
                break
        running.send_signal(signal.SIGTERM)
        assert running.wait(10) in {0, 1}
    with Collection(tmp_path / "w.db") as photos:
        assert str(album / "new.png") in photos


def test_a_second_indexer_is_told_to_wait(glimpse, album, tmp_path):
    with writing(tmp_path / "cli.db"):
        code, _, err = glimpse("index", album, "-c", "DB", "-m", "MODEL")
    assert (code, "another process is indexing into" in err) == (2, True)
    assert glimpse("index", album, "-c", "DB", "-m", "MODEL")[0] == 1
