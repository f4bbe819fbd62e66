"""`glimpse.zoo`: open_clip's table, as it is bundled."""

import pytest

from glimpse import zoo


def test_names_are_told_apart_and_each_has_an_entry() -> None:
    names = zoo.names()
    assert len(names) == len(set(names)) == 196
    entries = [zoo.entry(name) for name in names]
    assert [entry.name for entry in entries] == list(names)
    assert all(entry.repository.count("/") == 1 for entry in entries)
    assert all(entry.image_size > 0 and entry.dim > 0 for entry in entries)


def test_an_entry_says_what_the_config_would_say() -> None:
    entry = zoo.entry("ViT-L-14-336/openai")
    assert (entry.family, entry.supported) == ("clip", True)
    assert (entry.image_size, entry.dim, entry.repository) == (336, 768, "timm/vit_large_patch14_clip_336.openai")
    assert entry.config["model_cfg"]["text_cfg"]["context_length"] == 77
    assert set(entry.config) == {"model_cfg", "preprocess_cfg"}


def test_a_tags_own_words_win_over_the_tables() -> None:
    assert zoo.entry("ViT-B-32/openai").config["model_cfg"]["quick_gelu"] is True
    assert zoo.entry("ViT-B-32/laion2b_s34b_b79k").config["model_cfg"]["quick_gelu"] is False
    assert zoo.entry("ViT-H-14-378/dfn5b").config["preprocess_cfg"]["resize_mode"] == "squash"
    assert zoo.entry("ViT-B-32/openai").config["preprocess_cfg"]["resize_mode"] == "shortest"


FAMILIES = {
    "ViT-B-32": "clip",
    "ViT-B-16-plus-240": "clip",
    "ViT-H-14-378-quickgelu": "clip",
    "RN50x4": "resnet",
    "convnext_base_w": "convnext",
    "coca_ViT-L-14": "coca",
    "roberta-ViT-B-32": "xlm_roberta",
    "xlm-roberta-base-ViT-B-32": "xlm_roberta",
    "EVA01-g-14": "eva",
    "EVA02-B-16": "eva",
    "ViT-B-16-SigLIP-i18n-256": "siglip",
    "ViT-B-16-SigLIP2": "siglip",
    "ViT-L-14-CLIPA": "clipa",
    "nllb-clip-base-siglip": "nllb",
    "MobileCLIP-B": "mobileclip",
    "MobileCLIP2-S0": "fastvit",
    "MobileCLIP2-L-14": "mobileclip",
    "PE-Core-B-16": "pe_core",
    "ViT-H-14-worldwide-quickgelu": "clip",
}


@pytest.mark.parametrize("arch", FAMILIES)
def test_each_architecture_has_its_family(arch: str) -> None:
    assert {zoo.entry(name).family for name in zoo.names_of(arch)} == {FAMILIES[arch]}


def test_every_entry_has_a_family() -> None:
    assert "other" not in {zoo.entry(name).family for name in zoo.names()}


def test_near_matches() -> None:
    assert zoo.near("ViT-B-32/opanai")[0] == "ViT-B-32/openai"
    assert zoo.near("vit-b-32/OPENAI")[0] == "ViT-B-32/openai"
    assert zoo.near("dmo") == []
    assert zoo.near("dmo", "demo") == ["demo"]
    assert zoo.names_of("ViT-B-3") == []
