import numpy as np
import pytest

import checks
from glimpse import registry


@pytest.mark.parametrize(("name", "precision", "golden_name"), list(checks.runtimes()))
@pytest.mark.parametrize("check", [checks.runtime_agrees_with_reference, checks.cutting_texts_changes_nothing])
def test_contract(check, name, precision, golden_name, golden):
    check(checks.engine(name), precision, golden(golden_name))


@pytest.mark.parametrize(("name", "precision"), list(checks.engines()))
@pytest.mark.parametrize("golden_name", ["hf-clip-gelu", "hf-siglip"])
@pytest.mark.parametrize("check", [checks.runtime_takes_any_number, checks.runtime_may_be_called_from_several_threads])
def test_contract_of_runs(check, name, precision, golden_name, golden):
    check(checks.engine(name), precision, golden(golden_name))


@pytest.mark.parametrize(("name", "precision"), list(checks.engines()))
@pytest.mark.parametrize("word", checks.WORDS)
def test_words(word, name, precision):
    checks.runtime_knows_the_word(checks.engine(name), precision, word)


def test_a_blob_is_kept_and_used_without_the_weights(golden, tmp_path):
    from dataclasses import replace

    from glimpse.models import clip, formats
    from glimpse.runtimes import Tower, openvino

    reference = golden("hf-clip-gelu")
    model = formats.read(reference.folder, "x")
    tower = Tower("image", clip.image_tower, model.card, lambda: model.weights("image"), "f" * 64, tmp_path)
    first = openvino.compile_tower(tower, "float32")(reference.pixels)
    assert [path.suffix for path in tmp_path.iterdir()] == [".openvino"]

    untouchable = replace(tower, weights=lambda: pytest.fail("the weights were read"))
    assert np.array_equal(openvino.compile_tower(untouchable, "float32")(reference.pixels), first)


def test_a_broken_blob_is_made_anew(golden, tmp_path):
    reference = golden("hf-clip-gelu")
    openvino = registry.find("runtimes", "openvino")
    first = checks.compiled(openvino, "float32", reference, "text", tmp_path)
    (blob,) = tmp_path.iterdir()
    whole = blob.read_bytes()
    blob.unlink()  # not over the old one, which the first tower still reads its weights from
    blob.write_bytes(whole[: len(whole) // 3])
    again = checks.compiled(openvino, "float32", reference, "text", tmp_path)
    blob.unlink()
    blob.write_bytes(b"")
    checks.compiled(openvino, "float32", reference, "text", tmp_path)
    ids = checks.padded(reference.ids, 77)
    assert np.array_equal(again(ids), first(ids))
    assert blob.stat().st_size == len(whole)


def test_a_cache_that_cannot_be_written_is_no_error(golden, tmp_path):
    (tmp_path / "file").write_text("in the way")
    run = checks.compiled(
        registry.find("runtimes", "openvino"), "float32", golden("open_clip-vit"), "text", tmp_path / "file" / "towers"
    )
    assert len(run(checks.padded([[49406, 320, 49407]], 3))) == 1
