"""`glimpse.hub` and `glimpse.hub_client`: caches, and a real hub client talking to a hub on this machine.

The client reads its environment when it is imported: each look-up that needs it runs in a process of its own.
"""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from checkpoints import HUGGING_FACE, NEVER, OPEN_CLIP, SHARDED, TAGGED, TIMM, WORDS, cache_snapshot, write
from glimpse import hub_client, weights
from glimpse.errors import CheckpointError, DownloadError, ModelNotFound
from glimpse.hub import Repository
from hub import Fault, Hub, commit_of

SOURCE = Path(weights.__file__).parents[1]
MEGABYTE = 1 << 20

LOOK_UP = """
import json, os, sys, time
before = time.perf_counter()
from glimpse import weights
from glimpse.errors import GlimpseError
try:
    start = time.perf_counter()
    found = weights.locate(sys.argv[1])
    end = time.perf_counter()
    said = {"name": found.name, "folder": str(found.folder), "config": found.config, "files": os.listdir(found.folder)}
    said |= {"import_ms": (start - before) * 1000, "locate_ms": (end - start) * 1000}
except GlimpseError as error:
    said = {"error": type(error).__name__, "message": str(error)}
print(json.dumps(said | {"client": "huggingface_hub" in sys.modules}))
"""


@dataclass
class Place:
    """A hub, and an empty home to fetch to."""

    hub: Hub
    home: Path
    env: dict[str, str] = field(default_factory=dict)

    def start(self, name: str, **env: str) -> "subprocess.Popen[str]":
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING", "TRANSF"))}
        ours = {"HF_HOME": str(self.home), "HF_ENDPOINT": self.hub.endpoint, "PYTHONPATH": str(SOURCE)}
        return subprocess.Popen(
            [sys.executable, "-c", LOOK_UP, name],
            env=kept | ours | env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def locate(self, name: str, **env: str) -> dict[str, Any]:
        """What one process finds; a library prints nothing on its own, whatever happens."""
        return heard(self.start(name, **env))

    def offers(self, repository: str, files: Mapping[str, Any], revision: str = "main") -> Path:
        folder = write(self.home.parent / "remote" / repository / revision, files)
        self.hub.repositories.setdefault(repository, {})[revision] = folder
        return folder


def heard(process: "subprocess.Popen[str]") -> dict[str, Any]:
    out, err = process.communicate(timeout=60)
    assert err == ""
    said: dict[str, Any] = json.loads(out)
    return said


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with Hub() as hub:
        yield Place(hub, tmp_path / "home")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hf-hub:org/name", Repository("org/name", "main")),
        ("hf-hub:org/name@v2", Repository("org/name", "v2")),
        ("hf-hub:org/na.me_1@refs/pr/7", Repository("org/na.me_1", "refs/pr/7")),
    ],
)
def test_a_repository_has_a_name(name: str, expected: Repository) -> None:
    assert Repository.named(name) == expected
    assert f"hf-hub:{expected}" == name


@pytest.mark.parametrize("name", ["hf-hub:", "hf-hub:name", "hf-hub:a/b/c", "hf-hub:a--b/c", "hf-hub:a/b@../c"])
def test_what_names_no_repository_is_refused(name: str) -> None:
    with pytest.raises(ModelNotFound, match="write hf-hub:org/name"):
        Repository.named(name)


# What is on disk ------------------------------------------------------------------------------------------------------


def test_weights_that_open_clip_fetched_are_enough_for_a_zoo_name(place: Place) -> None:
    folder = cache_snapshot(place.home, TIMM, {"open_clip_model.safetensors": 10})
    found = place.locate(TAGGED, HF_HUB_OFFLINE="1")
    assert (found["name"], found["folder"], found["client"]) == (TAGGED, str(folder), False)
    assert found["config"]["model_cfg"]["quick_gelu"] is True
    assert found["config"]["model_cfg"]["vision_cfg"]["patch_size"] == 32
    assert found["config"]["preprocess_cfg"] == {
        "mean": [0.48145466, 0.4578275, 0.40821073],
        "std": [0.26862954, 0.26130258, 0.27577711],
        "interpolation": "bicubic",
        "resize_mode": "shortest",
    }
    assert found["locate_ms"] < 200, "a look-up in the cache takes some milliseconds"


@pytest.mark.parametrize("variable", ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME"])
def test_the_cache_is_where_the_client_has_it(tmp_path: Path, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "huggingface"
    monkeypatch.setenv(variable, str(tmp_path if variable == "XDG_CACHE_HOME" else home / "hub"))
    cache_snapshot(home, TIMM, {"open_clip_model.safetensors": 10})
    assert weights.locate("ViT-B-32-quickgelu/openai").folder.is_relative_to(home)
    assert [listing.name for listing in weights.listings() if listing.on_disk and listing.repository] == [
        "ViT-B-32/openai",
        "ViT-B-32-quickgelu/openai",
    ]


def test_a_part_that_another_library_fetched_is_not_taken_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(weights, "_fetch", lambda *_, **__: pytest.fail("fetched"))
    folder = cache_snapshot(tmp_path, "org/name", HUGGING_FACE)
    with pytest.raises(pytest.fail.Exception, match="fetched"):
        weights.locate("hf-hub:org/name")
    write(folder, {"preprocessor_config.json": {}, "tokenizer.json": {}})
    assert weights.locate("hf-hub:org/name").folder == folder


def test_a_truncated_file_in_the_cache_is_named_where_it_really_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    folder = cache_snapshot(tmp_path, TIMM, {})
    blob = write(tmp_path / "blobs", {"abc": 10}) / "abc"
    blob.write_bytes(blob.read_bytes()[:-4])
    (folder / "open_clip_model.safetensors").symlink_to(blob)
    with pytest.raises(CheckpointError, match=f"{blob} is .* bytes long where its header says"):
        weights.locate(TAGGED)


# Fetching -------------------------------------------------------------------------------------------------------------


def test_a_zoo_model_is_fetched_once_and_nothing_else_is_asked_for(place: Place) -> None:
    place.offers(TIMM, OPEN_CLIP | HUGGING_FACE | WORDS | NEVER)
    first = place.locate(TAGGED, HF_TOKEN="hf_secret")
    assert first["client"]
    assert set(first["files"]) == {*OPEN_CLIP, "tokenizer.json", "vocab.json", "merges.txt"}
    assert place.hub.asked_for() == set(first["files"])
    tokens = {request.path.startswith("/large/"): request.token for request in place.hub.requests}
    assert all(
        request.path.startswith((f"/api/models/{TIMM}", f"/{TIMM}/", "/large/")) for request in place.hub.requests
    )
    assert tokens == {False: "Bearer hf_secret", True: None}, "the token goes to the hub and to nobody else"

    place.hub.requests.clear()
    second = place.locate(TAGGED)
    assert (second["folder"], second["client"]) == (first["folder"], False)
    assert place.hub.requests == []
    assert place.locate(TAGGED, HF_HUB_OFFLINE="1")["folder"] == first["folder"]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (HUGGING_FACE | OPEN_CLIP | WORDS, {*HUGGING_FACE, *WORDS}),
        (HUGGING_FACE | OPEN_CLIP | {"config.json": {"architecture": "vit"}}, {"config.json", *OPEN_CLIP}),
        (OPEN_CLIP, {*OPEN_CLIP}),
        (SHARDED, {*SHARDED}),
    ],
    ids=["both", "timm's config.json", "open_clip", "sharded"],
)
def test_a_repository_gives_one_layout(place: Place, files: dict[str, Any], expected: set[str]) -> None:
    place.offers("org/name", files | NEVER)
    found = place.locate("hf-hub:org/name")
    assert (found["name"], found["config"], set(found["files"])) == ("hf-hub:org/name", None, expected)
    assert place.hub.asked_for() == expected
    assert place.locate("hf-hub:org/name", HF_ENDPOINT="http://127.0.0.1:9")["client"] is False


def test_a_revision_is_its_own_snapshot(place: Place) -> None:
    place.offers("org/name", HUGGING_FACE)
    place.offers("org/name", HUGGING_FACE | {"model.safetensors": 20}, revision="v2")
    main, second = place.locate("hf-hub:org/name"), place.locate("hf-hub:org/name@v2")
    assert second["name"] == "hf-hub:org/name@v2"
    assert main["folder"] != second["folder"]
    assert Path(second["folder"]).name == commit_of("org/name", "v2")
    offline = place.locate(f"hf-hub:org/name@{commit_of('org/name', 'v2')}", HF_HUB_OFFLINE="1")
    assert offline["folder"] == second["folder"]


def test_a_download_that_broke_off_goes_on_where_it_stopped(place: Place) -> None:
    folder = place.offers("org/name", HUGGING_FACE | {"model.safetensors": 6 * MEGABYTE})  # 24 MB
    place.hub.cut_after = 15 * MEGABYTE
    found = place.locate("hf-hub:org/name")
    assert place.hub.ranges(), "the client asked for the rest only"
    fetched = Path(found["folder"], "model.safetensors").read_bytes()
    assert fetched == (folder / "model.safetensors").read_bytes()


def test_the_next_run_goes_on_where_the_last_one_gave_up(place: Place) -> None:
    folder = place.offers("org/name", HUGGING_FACE | {"model.safetensors": 6 * MEGABYTE})
    place.hub.cut_after, place.hub.then = 15 * MEGABYTE, Fault(503, "/large/")
    given_up = place.locate("hf-hub:org/name")
    assert given_up["error"] == "DownloadError"
    assert "goes on where it stopped" in given_up["message"]
    (kept,) = (place.home / "hub" / "models--org--name" / "blobs").glob("*.incomplete")
    size = kept.stat().st_size
    assert size >= 10 * MEGABYTE

    place.hub.faults.clear()
    place.hub.requests.clear()
    found = place.locate("hf-hub:org/name")
    assert set(place.hub.ranges()) == {f"bytes={size}-"}
    assert Path(found["folder"], "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()
    assert not kept.exists()


def test_a_file_that_arrives_damaged_is_thrown_away(place: Place) -> None:
    place.offers("org/name", HUGGING_FACE)
    place.hub.spoil = True
    found = place.locate("hf-hub:org/name")
    assert (found["error"], "arrived damaged" in found["message"]) == ("DownloadError", True)
    place.hub.spoil = False
    assert "error" not in place.locate("hf-hub:org/name")


def test_two_processes_at_once_fetch_once(place: Place) -> None:
    place.offers("org/name", HUGGING_FACE | {"model.safetensors": MEGABYTE})
    both = [place.start("hf-hub:org/name") for _ in range(2)]
    first, second = map(heard, both)
    assert first["folder"] == second["folder"]
    assert len([request for request in place.hub.requests if request.path.startswith("/large/")]) == 1


# Being refused --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "error", "said"),
    [
        (Fault(401, "/api/"), "DownloadError", "set HF_TOKEN to a valid token"),
        (Fault(401, "/api/", "RepoNotFound"), "ModelNotFound", "set HF_TOKEN if it is private"),
        (Fault(403, "/api/"), "DownloadError", "set HF_TOKEN"),
        (Fault(403, "/resolve/", "GatedRepo"), "DownloadError", "accept its licence at http"),
        (Fault(404, "/api/", "RepoNotFound"), "ModelNotFound", "shows no repository org/name: check the name"),
        (Fault(404, "/api/"), "ModelNotFound", "shows no org/name: check the name"),
        (Fault(404, "/api/", "RevisionNotFound"), "ModelNotFound", "org/name has no revision 'main'"),
        (Fault(503, "/api/"), "DownloadError", "answered 503"),
    ],
    ids=lambda value: f"{value.status} {value.code}" if isinstance(value, Fault) else None,
)
def test_a_refusal_is_one_sentence_that_says_what_to_do(place: Place, fault: Fault, error: str, said: str) -> None:
    place.offers("org/name", HUGGING_FACE)
    place.hub.faults.append(fault)
    found = place.locate("hf-hub:org/name")
    assert found["error"] == error
    assert said in found["message"]
    assert "\n" not in found["message"]
    assert "Traceback" not in found["message"]


def test_a_hub_that_cannot_be_reached(place: Place) -> None:
    found = place.locate("hf-hub:org/name", HF_ENDPOINT="http://127.0.0.1:9")
    assert (found["error"], "cannot be reached" in found["message"]) == ("DownloadError", True)


def test_offline_and_not_on_disk_needs_no_client(place: Place) -> None:
    place.offers(TIMM, OPEN_CLIP)
    found = place.locate(TAGGED, HF_HUB_OFFLINE="1")
    assert (found["error"], found["client"], place.hub.requests) == ("DownloadError", False, [])
    assert "HF_HUB_OFFLINE is set: unset it once" in found["message"]


def test_a_repository_of_pickles_is_refused_without_asking_for_them(place: Place) -> None:
    place.offers("org/name", {"config.json": {"model_type": "clip"}} | NEVER)
    found = place.locate("hf-hub:org/name")
    assert found["error"] == "CheckpointError"
    assert "can run any code" in found["message"]
    assert "repository or revision that has safetensors" in found["message"]
    assert place.hub.asked_for() == set()


def test_a_truncated_file_on_the_hub_is_refused(place: Place) -> None:
    file = place.offers("org/name", HUGGING_FACE) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-4])
    found = place.locate("hf-hub:org/name")
    assert (found["error"], "delete it and try again" in found["message"]) == ("CheckpointError", True)

    place.offers("org/name", HUGGING_FACE)
    Path(found["message"].split()[0]).unlink()
    assert "error" not in place.locate("hf-hub:org/name"), "doing what the message says mends it"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full at .*: make room"),
        (PermissionError(errno.EACCES, "Permission denied"), r"cannot be used \(Permission denied\): set HF_HOME"),
        (OSError("Consistency check failed"), "broke off: run it again, it goes on where it stopped"),
        (ValueError("Expecting value: line 1"), "does not answer as a hub does: check HF_ENDPOINT"),
    ],
)
def test_trouble_on_this_side_says_what_to_do(error: Exception, said: str) -> None:
    with pytest.raises(DownloadError, match=said), hub_client._explained(Repository("org/name")):
        raise error
