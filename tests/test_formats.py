import json
import re
import shutil
import struct

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import glimpse
from glimpse.errors import CheckpointError, ModelUnsupported
from glimpse.models import formats
from glimpse.models.formats.tensors import Tensors


@pytest.fixture
def copy(golden, tmp_path):
    """A checkpoint to break."""

    def make(name):
        return shutil.copytree(golden(name).folder, tmp_path / name)

    return make


def edit(path, change):
    config = json.loads(path.read_bytes())
    change(config)
    path.write_text(json.dumps(config))


def retensor(folder, change, name="model.safetensors"):
    tensors = load_file(folder / name)
    change(tensors)
    save_file(tensors, folder / name)


def test_the_card_says_what_the_config_says(golden):
    card = glimpse.load(golden("hf-clip-quickgelu").folder).card
    assert (card.dim, card.patch, card.pixels.size, card.context, card.vocabulary) == (48, 16, 64, 77, 49408)
    assert card.end_id is None  # eos_token_id 2: pooled at the largest id
    assert card.image.activation == "quick_gelu"
    assert card.pixels.convert == "first"
    assert card.logit_scale == pytest.approx(np.exp(2.6592), rel=1e-2)
    assert glimpse.load(golden("hf-clip-gelu").folder).card.end_id == 49407
    assert glimpse.load(golden("open_clip-vit").folder).card.pixels.convert == "last"


def test_both_layouts_give_the_same_canonical_names(golden):
    """The towers read nothing else, so a family that both layouts have is one family."""
    for some, other in (("hf-clip-gelu", "open_clip-vit"), ("hf-siglip", "open_clip-siglip")):
        for kind in ("image", "text"):
            names = [formats.read(golden(name).folder, name).weights(kind) for name in (some, other)]
            first, second = ({re.sub(r"\d", "0", name) for name in of_one} for of_one in names)  # whatever the layers
            assert first == second


def test_a_missing_tensor_is_named(copy):
    folder = copy("hf-clip-gelu")
    retensor(folder, lambda tensors: tensors.pop("text_model.final_layer_norm.bias"))
    with pytest.raises(CheckpointError, match="no tensor text_model.final_layer_norm.bias"):
        glimpse.load(folder)


def test_a_wrong_shape_is_named(copy):
    folder = copy("open_clip-vit")
    retensor(
        folder,
        lambda tensors: tensors.update({"visual.proj": np.zeros((128, 7), np.float16)}),
        "open_clip_model.safetensors",
    )
    with pytest.raises(CheckpointError, match=r"visual.proj has shape \(128, 7\), its config says \(128, 48\)"):
        glimpse.load(folder)


def test_a_missing_logit_scale_is_named(copy):
    folder = copy("hf-clip-gelu")
    retensor(folder, lambda tensors: tensors.pop("logit_scale"))
    with pytest.raises(CheckpointError, match="no tensor logit_scale"):
        glimpse.load(folder)


def test_a_missing_config_says_what_a_folder_needs(copy):
    folder = copy("hf-clip-gelu")
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"config.json"):
        glimpse.load(folder)


@pytest.mark.parametrize(
    "broken",
    [
        "{",
        "[]",
        '{"model_type": "clip", "text_config": 3}',
        '{"model_type": "clip", "vision_config": {"patch_size": "x"}}',
    ],
)
def test_a_broken_config_is_named(copy, broken):
    folder = copy("hf-clip-gelu")
    (folder / "config.json").write_text(broken)
    with pytest.raises((CheckpointError, ModelUnsupported)):
        glimpse.load(folder)


def test_another_type_of_model_is_refused(copy):
    folder = copy("hf-clip-gelu")
    edit(folder / "config.json", lambda config: config.update(model_type="blip"))
    with pytest.raises(ModelUnsupported, match="blip"):
        glimpse.load(folder)


def test_what_a_plain_tower_does_not_do_is_refused(copy):
    folder = copy("open_clip-vit")
    edit(folder / "open_clip_config.json", lambda config: config["model_cfg"]["vision_cfg"].update(no_ln_pre=True))
    with pytest.raises(ModelUnsupported, match="no_ln_pre"):
        glimpse.load(folder)


def test_another_activation_is_refused(copy):
    folder = copy("hf-clip-gelu")
    edit(folder / "config.json", lambda config: config["text_config"].update(hidden_act="relu"))
    with pytest.raises(ModelUnsupported, match="relu"):
        glimpse.load(folder)


def test_early_configs_keep_their_values_in_config_dict(copy, golden):
    folder = copy("hf-clip-gelu")

    def move(config):
        config["text_config_dict"] = config["text_config"]
        config["text_config"] = {"hidden_size": 1}

    edit(folder / "config.json", move)
    assert glimpse.load(folder).card.text == glimpse.load(golden("hf-clip-gelu").folder).card.text


def test_shards_are_one_checkpoint(copy, golden):
    folder = copy("hf-clip-gelu")
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    halves = {"model-00001-of-00002.safetensors": {}, "model-00002-of-00002.safetensors": {}}
    where = {}
    for place, (name, tensor) in enumerate(tensors.items()):
        file = list(halves)[place % 2]
        halves[file][name] = tensor
        where[name] = file
    for file, part in halves.items():
        save_file(part, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    reference = golden("hf-clip-gelu")
    rows = glimpse.load(folder, runtime="numpy").embed(reference.pixels)
    assert np.abs(rows - reference.images).max() < 1e-5


def test_a_pickle_is_refused_with_the_reason(copy):
    folder = copy("hf-clip-gelu")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="pickle"):
        glimpse.load(folder)


def test_half_a_file_is_refused(copy):
    folder = copy("hf-clip-gelu")
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="model.safetensors"):
        glimpse.load(folder)


def write_bfloat16(path, values):
    halves = (values.view(np.uint32) >> 16).astype(np.uint16)
    header = json.dumps(
        {"x": {"dtype": "BF16", "shape": list(values.shape), "data_offsets": [0, halves.nbytes]}}
    ).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + halves.tobytes())


def test_bfloat16_tensors_are_read(tmp_path):
    values = np.array([[1.0, -2.5], [0.15625, 1e30]], np.float32)
    write_bfloat16(tmp_path / "b.safetensors", values)
    read = Tensors([tmp_path / "b.safetensors"]).read("x")
    assert read.dtype == np.float32
    assert np.allclose(read, values, rtol=1 / 128)


def test_integers_are_no_weights(tmp_path):
    save_file({"x": np.arange(3)}, tmp_path / "i.safetensors")
    with pytest.raises(CheckpointError, match="holds I64"):
        Tensors([tmp_path / "i.safetensors"]).read("x")


def test_preprocessing_comes_from_the_checkpoint(copy):
    folder = copy("hf-clip-gelu")

    def change(config):
        config.update(size={"height": 56, "width": 56}, resample=2, image_mean=[0.5] * 3, image_std=[0.25] * 3)

    edit(folder / "preprocessor_config.json", change)
    rules = glimpse.load(folder).card.pixels
    assert (rules.resize_mode, rules.interpolation, rules.mean, rules.std) == (
        "squash",
        "bilinear",
        (0.5,) * 3,
        (0.25,) * 3,
    )


def test_open_clip_preprocessing_comes_from_the_checkpoint(copy):
    folder = copy("open_clip-vit")
    edit(
        folder / "open_clip_config.json",
        lambda config: config["preprocess_cfg"].update(resize_mode="longest", interpolation="bilinear"),
    )
    rules = glimpse.load(folder).card.pixels
    assert (rules.resize_mode, rules.interpolation) == ("longest", "bilinear")


def test_weights_that_the_towers_do_not_use_are_refused(copy):
    folder = copy("open_clip-vit")
    scale = {"visual.transformer.resblocks.0.ls_1.gamma": np.ones(128, np.float16)}
    retensor(folder, lambda tensors: tensors.update(scale), "open_clip_model.safetensors")
    with pytest.raises(ModelUnsupported, match=r"do not use \(visual.transformer.resblocks.0.ls_1.gamma\)"):
        glimpse.load(folder)


@pytest.mark.parametrize("heads", [0, 5])
def test_heads_that_do_not_divide_the_width_are_refused(heads, copy):
    folder = copy("hf-siglip")
    edit(folder / "config.json", lambda config: config["text_config"].update(num_attention_heads=heads))
    with pytest.raises(CheckpointError, match=f"{heads} heads for a width of 96"):
        glimpse.load(folder)


def test_siglip_without_a_preprocessor_config_is_prepared_as_siglip_is(copy, golden):
    folder = copy("hf-siglip")
    (folder / "preprocessor_config.json").unlink()
    assert glimpse.load(folder).card.pixels == golden("hf-siglip").card.pixels


@pytest.mark.parametrize(
    "word", [{"do_normalize": False}, {"rescale_factor": 0.5}, {"size": {"height": 64, "width": 32}}]
)
def test_preparation_that_would_be_left_undone_is_refused(word, copy):
    folder = copy("hf-siglip")
    edit(folder / "preprocessor_config.json", lambda config: config.update(word))
    with pytest.raises((ModelUnsupported, CheckpointError), match=r"preprocessor_config.json"):
        glimpse.load(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"text_cfg": {"pool_type": "cls"}},
        {"text_cfg": {"tokenizer_kwargs": {"clean": "canonicalize"}}},
        {"text_cfg": {"embed_cls": True}},
        {"vision_cfg": {"pool_type": "avg"}},
        {"vision_cfg": {"attentional_pool": True}},
        {"vision_cfg": {"timm_model_name": "vit_base_patch16_224", "timm_pool": "avg"}},
        {"text_cfg": {"hf_model_name": "hfl/chinese-roberta-wwm-ext", "hf_pooler_type": "mean_pooler"}},
    ],
)
def test_what_no_family_computes_is_claimed_by_none(change, golden):
    config = json.loads((golden("open_clip-vit").folder / "open_clip_config.json").read_bytes())["model_cfg"]
    changed = {name: {**config[name], **change.get(name, {})} for name in ("vision_cfg", "text_cfg")}
    assert formats.family_of("open_clip", config)
    assert formats.family_of("open_clip", {**config, **changed}) is None


def test_the_padding_of_texts_is_part_of_the_fingerprint(copy):
    folder = copy("hf-siglip")
    before = glimpse.load(folder).fingerprint
    edit(folder / "tokenizer_config.json", lambda config: config.update(pad_token="<unk>"))
    assert glimpse.load(folder).fingerprint != before
