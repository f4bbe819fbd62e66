import os

import glimpse
from glimpse import fingerprint
from glimpse.models import formats


def prints(card, weights, cache, tokenizer=()):
    return fingerprint.of_model(card, [weights], tokenizer, parity=False, cache=cache)


def test_digests_are_remembered_until_the_file_changes(golden, tmp_path, monkeypatch):
    card = formats.read(golden("hf-clip-gelu").folder, "x").card
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(b"one")
    first = prints(card, weights, tmp_path / "cache")
    monkeypatch.setattr(fingerprint.hashlib, "file_digest", lambda *_: 1 / 0)
    assert prints(card, weights, tmp_path / "cache") == first
    monkeypatch.undo()
    weights.write_bytes(b"two")
    os.utime(weights, ns=(5, 5))
    assert prints(card, weights, tmp_path / "cache") != first


def test_a_broken_or_read_only_cache_is_no_error(golden, tmp_path):
    card = formats.read(golden("hf-clip-gelu").folder, "x").card
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(b"one")
    (tmp_path / "digests.json").write_text("{ broken")
    (tmp_path / "file").write_text("")
    found = {prints(card, weights, cache) for cache in (None, tmp_path, tmp_path / "file" / "cache")}
    assert len(found) == 1


def test_the_name_of_a_model_is_not_part_of_it(golden, tmp_path):
    import shutil

    one = golden("open_clip-vit").folder
    other = shutil.copytree(one, tmp_path / "renamed")
    assert glimpse.load(one).fingerprint == glimpse.load(other).fingerprint
