"""Write docs/models.md: every model of open_clip's table, whether glimpse has its towers, and how that was verified.

Usage: python tools/make_models_page.py
"""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from glimpse import layouts, zoo
from glimpse.layouts import Layout
from glimpse.models import formats

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "models.md"
GOLDENS = ROOT / "tests" / "data" / "golden"

HEAD = """\
# Models

*Made by `tools/make_models_page.py`; do not edit.*

A model is named `arch/tag` as in [open_clip](https://github.com/mlfoundations/open_clip), `hf-hub:org/name` on the Hugging Face
hub, or by a folder. `glimpse models` lists the names. What can be loaded:

- **open_clip's layout** (`open_clip_config.json`, `open_clip_model.safetensors`): every architecture that is marked below, also
  under other names, for the config decides and not the name.
- **Hugging Face's layout** (`config.json`, `model.safetensors` or shards): the types {types}. SigLIP 2 at a fixed
  resolution is of the type `siglip`; its NaFlex variants (type `siglip2`) are not supported.
- **ONNX folders**: what `glimpse export` writes, and dual encoders that others exported as `visual/model.onnx` and
  `textual/model.onnx`, see [engines](engines.md).

## How this was verified

Each family is held against the library it comes from (transformers, or open_clip with timm) on tiny random checkpoints in the
very layout of the published ones ("goldens", `tests/data/golden`, made by `tools/make_goldens.py`): pictures, square and not, byte
for byte as the reference prepares them; token ids, equal; vectors within 1e-5 in float32 and at a cosine of 0.999 or more in
bfloat16, on every runtime. **No published checkpoint was run**: no model hub could be reached where glimpse is made. What only
published files could show (a tokenizer's odd corners, a tensor called otherwise) is therefore not verified.

Texts are prepared as the checkpoint's library does, by its own tokenizer. One exception: SigLIP 2 was trained on lower case, and
checkpoints of it that name Gemma's tokenizer (which keeps capitals in transformers) are given lower case here all the same.

Pictures are squashed to a square or cut, as the checkpoint's own config says (squashed for SigLIP, CLIPA, PE-Core and some others).
`classify` gives SigLIP's probabilities by the sigmoid that it was trained with: each label by itself, so they do not add up to 1.

## Families

| family | towers | goldens |
|---|---|---|
{families}

## open_clip's table

{supported} of {all} are supported.

| model | pixels | vector | family |
|---|---|---|---|
{models}

## Not supported, and why

| towers | why | models |
|---|---|---|
{missing}
"""

WHY = {
    "resnet": "convolutions with batch norms and an attention pool over a grid: words that no ViT needs",
    "convnext": "depthwise convolutions: words that no ViT needs",
    "fastvit": "MobileCLIP's smaller image towers (S0 to S4): depthwise convolutions in parallel branches",
    "vitamin": "convolutional stages before a ViT, depthwise",
    "coca": "two attention pools of many queries, and a text tower that adds a token of its own",
    "nllb": "the text tower is the encoder of a translation model, with positions and tokenizer of its own kind",
}


def goldens() -> Iterator[tuple[ModuleType, str]]:
    """(family, golden) for every reference checkpoint."""
    for path in sorted(GOLDENS.glob("*/golden.npz")):
        layout: Layout = "open_clip" if (path.parent / layouts.OPEN_CLIP_CONFIG).is_file() else "hugging_face"
        config = layouts.read_json(path.parent / layouts.CONFIGS[layout])
        family = formats.family_of(layout, config["model_cfg"] if layout == "open_clip" else config)
        if family:
            yield family, path.parent.name


def row(*cells: object) -> str:
    """A row of a table."""
    return f"| {' | '.join(map(str, cells))} |"


def called(family: ModuleType) -> str:
    """A family's registered name."""
    return family.__name__.rpartition(".")[2]


def about(family: ModuleType) -> str:
    """What a family's file says it holds."""
    return (family.__doc__ or "").splitlines()[0].removesuffix(".")


def page() -> str:
    """The whole page."""
    entries = [zoo.entry(name) for name in zoo.names()]
    verified: dict[ModuleType, list[str]] = {}
    for family, golden in goldens():
        verified.setdefault(family, []).append(golden)
    missing: dict[str, list[str]] = {}
    for entry in entries:
        if not entry.supported:
            missing.setdefault(entry.family, []).append(entry.name)
    return HEAD.format(
        types="`clip`, `metaclip_2` and `siglip`",
        families="\n".join(row(f"`{called(one)}`", about(one), ", ".join(found)) for one, found in verified.items()),
        supported=sum(entry.supported for entry in entries),
        all=len(entries),
        models="\n".join(row(one.name, one.image_size, one.dim, one.family) for one in entries if one.supported),
        missing="\n".join(
            row(one, WHY.get(one, "not yet"), ", ".join(names)) for one, names in sorted(missing.items())
        ),
    )


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
