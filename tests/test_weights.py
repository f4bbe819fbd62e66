"""`glimpse.weights` against folders, caches, and a real hub client talking to a hub on this machine.

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

import numpy as np
import pytest
from safetensors.numpy import save_file

from glimpse import weights
from glimpse.errors import CheckpointError, DownloadError, ModelNotFound, ModelUnsupported
from hub import Fault, Hub, commit_of

SOURCE = Path(weights.__file__).parents[1]
MEGABYTE = 1 << 20
TAGGED = "ViT-B-32/openai"
TIMM = "timm/vit_base_patch32_clip_224.openai"

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


def write(folder: Path, files: Mapping[str, Any]) -> Path:
    """A folder of files: a number is a safetensors file with so many floats, a text or JSON is itself."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        if isinstance(content, int):
            save_file({"logit_scale": np.zeros(content, np.float32)}, folder / name)
        else:
            (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


HUGGING_FACE: dict[str, Any] = {"config.json": {"model_type": "clip"}, "model.safetensors": 10}
WORDS: dict[str, Any] = {"tokenizer.json": {}, "vocab.json": {}, "merges.txt": "a b", "preprocessor_config.json": {}}
OPEN_CLIP: dict[str, Any] = {"open_clip_config.json": {"model_cfg": {}}, "open_clip_model.safetensors": 10}
NEVER: dict[str, Any] = {
    "pytorch_model.bin": "x",
    "open_clip_pytorch_model.bin": "x",
    "README.md": "x",
    "model.py": "x",
    "a.pt": "x",
}
SHARDED: dict[str, Any] = {
    "config.json": {"model_type": "clip"},
    "model.safetensors.index.json": {"weight_map": {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}},
    "model-1-of-2.safetensors": 10,
    "model-2-of-2.safetensors": 20,
}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with Hub() as hub:
        yield Place(hub, tmp_path / "home")


# A folder -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("files", [HUGGING_FACE, OPEN_CLIP, SHARDED], ids=["hugging face", "open_clip", "sharded"])
def test_a_folder_is_itself(tmp_path: Path, files: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "mine", files)
    for name in (str(folder), folder):
        assert weights.locate(name) == weights.Checkpoint(str(folder.resolve()), folder.resolve(), None)
    monkeypatch.chdir(tmp_path)
    assert weights.locate("mine").name == str(folder.resolve())


def test_a_models_name_wins_over_a_folder_and_a_path_does_not_lose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "demo", HUGGING_FACE)
    bundled = write(tmp_path / "bundled", HUGGING_FACE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(weights, "_DEMO", bundled)
    assert weights.locate("demo") == weights.Checkpoint("demo", bundled, None)
    assert weights.locate("./demo").folder == (tmp_path / "demo").resolve()


@pytest.mark.parametrize("name", ["./nothing", "/nothing/here", "~nobody-at-all/x", "..\\x", Path("nothing")])
def test_a_folder_that_is_not_there(name: str | Path) -> None:
    with pytest.raises(ModelNotFound, match="there is no folder"):
        weights.locate(name)


@pytest.mark.parametrize("pickle", ["pytorch_model.bin", "open_clip_pytorch_model.bin", "a.pt", "a.pth", "a.ckpt"])
def test_a_folder_with_a_pickle_only_is_refused(tmp_path: Path, pickle: str) -> None:
    write(tmp_path, {"config.json": {"model_type": "clip"}, pickle: "x"})
    with pytest.raises(CheckpointError, match=r"can run any code .* convert it"):
        weights.locate(tmp_path)


def test_an_empty_folder_is_told_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"needs config\.json and model\.safetensors"):
        weights.locate(tmp_path)


@pytest.mark.parametrize("damage", ["cut", "longer", "header cut", "empty", "not json", "huge header", "odd header"])
def test_a_broken_safetensors_file_is_named(tmp_path: Path, damage: str) -> None:
    file = write(tmp_path, HUGGING_FACE) / "model.safetensors"
    whole = file.read_bytes()
    broken = {
        "cut": whole[:-1],
        "longer": whole + b"x",
        "header cut": whole[:20],
        "empty": b"",
        "not json": whole[:8] + b"?" + whole[9:],
        "huge header": b"\xff" * 8 + whole[8:],
        "odd header": (2).to_bytes(8, "little") + b"[]",
    }
    file.write_bytes(broken[damage])
    with pytest.raises(CheckpointError, match=r"model\.safetensors .*delete it and try again"):
        weights.locate(tmp_path)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    (write(tmp_path, SHARDED) / "model-2-of-2.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model-2-of-2\.safetensors is missing"):
        weights.locate(tmp_path)


@pytest.mark.parametrize("config", ["{", "[]", '"clip"', '{"model_type": 7}'])
def test_an_odd_config_beside_open_clips_own_does_no_harm(tmp_path: Path, config: str) -> None:
    write(tmp_path, OPEN_CLIP | HUGGING_FACE | {"config.json": config})
    if config == "{":
        with pytest.raises(CheckpointError, match=r"config\.json cannot be read as JSON: delete it and try again"):
            weights.locate(tmp_path)
    else:
        assert weights.locate(tmp_path).config is None


@pytest.mark.parametrize("index", ["{", "[]", "{}", '{"weight_map": []}'])
def test_an_odd_index_is_named_and_hides_no_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, index: str) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    folder = cache_snapshot(tmp_path, TIMM, SHARDED | {"model.safetensors.index.json": index})
    with pytest.raises(CheckpointError, match=r"index\.json .* delete it and try again"):
        weights.locate(folder)
    assert not any(listing.on_disk for listing in weights.listings()[1:])


@pytest.mark.parametrize("shard", ["../../outside.safetensors", "/etc/passwd", "model.bin", 7])
def test_an_index_cannot_name_files_elsewhere(tmp_path: Path, shard: object) -> None:
    write(tmp_path, SHARDED | {"model.safetensors.index.json": {"weight_map": {"a": shard}}})
    with pytest.raises(CheckpointError, match="is not a shard"):
        weights.locate(tmp_path)


# A name ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ViT-B-32", "ViT-B-32/openai"),
        ("vit-b-32/openai", "did you mean ViT-B-32/openai"),
        ("ViT-B-32:openai", "did you mean ViT-B-32/openai"),
        ("ViT-B-32/opanai", "did you mean ViT-B-32/openai"),
        ("dmo", "did you mean demo"),
        ("openai/clip-vit-base-patch32", "put hf-hub: before it: hf-hub:openai/clip-vit-base-patch32"),
        ("", "`glimpse models` lists the names"),
        ("x" * 5000, "`glimpse models` lists the names"),
        ("a\0b", "`glimpse models` lists the names"),
        ("hf-hub:only-a-name", "write hf-hub:org/name"),
        ("hf-hub:../../etc", "write hf-hub:org/name"),
        ("hf-hub:org/name@../../x", "write hf-hub:org/name"),
    ],
)
def test_an_unknown_name_is_helped_along(name: str, said: str) -> None:
    with pytest.raises(ModelNotFound) as caught:
        weights.locate(name)
    assert said in str(caught.value)


def test_a_known_architecture_is_not_taken_for_a_repository() -> None:
    with pytest.raises(ModelNotFound) as caught:
        weights.locate("ViT-B-32/opanai")
    assert "hf-hub:" not in str(caught.value)


def test_a_family_without_towers_is_refused_before_any_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_fetch", lambda *_, **__: pytest.fail("it went to the hub"))
    for name, family in {"ViT-B-16-SigLIP/webli": "siglip", "RN50/openai": "resnet"}.items():
        with pytest.raises(ModelUnsupported, match=f"{name} is of the {family} family"):
            weights.locate(name)


def test_the_listings_are_the_zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    demo, *zoo = weights.listings()
    assert (demo.name, demo.supported) == ("demo", True)
    assert len(zoo) == len({listing.name for listing in zoo}) == 196
    assert not any(listing.on_disk for listing in zoo)
    assert "other" not in {listing.family for listing in zoo}
    assert {listing.supported for listing in zoo if listing.family == "clip"} == {True}
    found = {listing.name: listing for listing in zoo}["ViT-L-14-336/openai"]
    assert (found.image_size, found.dim, found.repository) == (336, 768, "timm/vit_large_patch14_clip_336.openai")


FAMILIES = {
    "ViT-B-32": "clip",
    "ViT-B-16-plus-240": "clip",
    "ViT-H-14-378-quickgelu": "clip",
    "RN50x4": "resnet",
    "convnext_base_w": "convnext",
    "coca_ViT-L-14": "coca",
    "roberta-ViT-B-32": "clip + roberta",
    "xlm-roberta-base-ViT-B-32": "clip + xlm-roberta",
    "EVA01-g-14": "eva01",
    "EVA02-B-16": "eva02",
    "ViT-B-16-SigLIP-i18n-256": "siglip",
    "ViT-B-16-SigLIP2": "siglip2",
    "ViT-L-14-CLIPA": "clipa",
    "nllb-clip-base-siglip": "nllb-clip",
    "MobileCLIP-B": "mobileclip",
    "MobileCLIP2-L-14": "mobileclip",
    "PE-Core-B-16": "pe-core",
    "ViT-H-14-worldwide-quickgelu": "worldwide",
}


@pytest.mark.parametrize("arch", FAMILIES)
def test_each_architecture_has_its_family(arch: str) -> None:
    assert {listing.family for listing in weights.listings() if listing.name.startswith(f"{arch}/")} == {FAMILIES[arch]}


# What is on disk ------------------------------------------------------------------------------------------------------


def cache_snapshot(home: Path, repository: str, files: Mapping[str, Any]) -> Path:
    """A snapshot as any client leaves it."""
    root, commit = home / "hub" / f"models--{repository.replace('/', '--')}", "c" * 40
    write(root / "refs", {"main": commit})
    return write(root / "snapshots" / commit, files)


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


def test_a_tags_own_preprocessing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    cache_snapshot(tmp_path, "apple/DFN5B-CLIP-ViT-H-14-378", {"open_clip_model.safetensors": 10})
    config = weights.locate("ViT-H-14-378/dfn5b").config
    assert config is not None
    assert config["preprocess_cfg"]["resize_mode"] == "squash"


def test_a_part_that_another_library_fetched_is_not_taken_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
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
    with pytest.raises(DownloadError, match=said), weights._explained(weights._Repository("org/name")):
        raise error
