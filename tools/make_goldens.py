"""Make the reference checkpoints of the other families: `python tools/make_goldens.py [NAME...]`.

Each golden is a tiny random checkpoint as the real repository of its family holds it, together with what the
reference library makes of the golden pictures and texts, in `tests/data/golden/NAME`. The library itself reads the
checkpoint back from the disk, tokenizes, prepares the pictures and computes in float32. No model hub is asked.

Needs an environment of its own with torch, torchvision, open_clip_torch, timm, transformers, tokenizers, safetensors,
ftfy, regex, sentencepiece and Pillow < 13 (later ones order the passes of a resize otherwise). A torchvision that was built
for another torch will do: only its transforms for Pillow's pictures are used. `tests/data/golden/pictures` and `hf-siglip` (its texts and its tokenizer) have to be there.

The large tables hold two or four different numbers, so that gzip has something to do; everything else is drawn evenly.
All numbers are exact in float16. Before anything is written, each tensor is turned around to see that it matters.
"""

import contextlib
import gzip
import json
import math
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

GOLDEN = Path(__file__).resolve().parent.parent / "tests" / "data" / "golden"
TEXTS: list[str] = json.loads((GOLDEN / "hf-siglip" / "golden.json").read_bytes())["texts"]
OPENAI = {"mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711]}
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
HALF = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
NOTHING = {"mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]}
SHORTEST = {"interpolation": "bicubic", "resize_mode": "shortest"}
SIZES = {"img_size": 64, "patch_size": 16, "embed_dim": 128, "depth": 2, "num_heads": 2}
VIT = {"image_size": 64, "layers": 2, "width": 128, "patch_size": 16}
CLIP_TEXT = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2}
FIRST = ("patch_embed.proj", "backbone.2.conv", "visual.conv1", "patch_embedding")  # makes the patches
FAINT = 1 / 16  # what enters the first norm is that small, so that the norm's epsilon shows
MATTERS = 1e-3  # what a tensor that is turned around must move some unit row by
FREE = ("logit_scale", "logit_bias", "num_batches_tracked", "position_ids")  # not of the features
SHIFTS = (".k_proj.bias", ".key.bias")  # move all scores of a query alike, which a softmax does not see


def as_json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


# ---------------------------------------------------------------------------------------------- the reference libraries


def define_operators() -> None:
    """Stand in for the compiled half of torchvision, which asks for its operators while it is imported."""
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        globals()["_KEPT"] = library  # what it defined goes with it


def versions() -> str:
    import open_clip
    import timm
    import transformers

    known = {"open_clip": open_clip, "timm": timm, "transformers": transformers, "torch": torch}
    return ", ".join(f"{name} {module.__version__.partition('+')[0]}" for name, module in known.items())


def tiny(name: str, family: Callable[..., torch.nn.Module], **sizes: Any) -> str:
    """Register a small variant of one of timm's entry points: all that is not a size stays the family's."""
    import timm

    def build(pretrained: bool = False, **given: Any) -> torch.nn.Module:  # noqa: FBT001, FBT002
        return family(pretrained, **{**SIZES, **sizes, **given})

    build.__name__ = name
    if not timm.is_model(name):
        timm.models.register_model(build)
    return name


def mci(pretrained: bool = False, **given: Any) -> torch.nn.Module:  # noqa: FBT001, FBT002
    """`vit_base_mci_224` with other widths, which stand in its body there."""
    from timm.models.vision_transformer_hybrid import ConvStem, _create_vision_transformer_hybrid

    width = given["embed_dim"]
    stem = ConvStem(
        channels=(width // 4, width // 4, width),
        stride=(4, 2, 2),
        kernel_size=(4, 2, 2),
        padding=0,
        act_layer=torch.nn.GELU,
    )
    given = {"no_embed_class": True, **given}
    del given["patch_size"]
    return _create_vision_transformer_hybrid(
        "vit_base_mci_224", backbone=stem, embed_args={"proj": False}, pretrained=pretrained, **given
    )


# ----------------------------------------------------------------------------------------------------------- tokenizers


def finish(tokenizer: Tokenizer, specials: dict[str, str], template: str, model_max_length: int) -> dict[str, str]:
    """The files of a tokenizer whose special tokens are in its vocabulary."""
    tokenizer.add_special_tokens(list(specials.values()))
    ids = [(token, tokenizer.token_to_id(token)) for token in specials.values()]
    tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=ids)
    return tokenizer_files(tokenizer.to_str(), specials, model_max_length)


def tokenizer_files(tokenizer: str, specials: dict[str, str], model_max_length: int) -> dict[str, str]:
    config = {"tokenizer_class": "PreTrainedTokenizerFast", **specials, "model_max_length": model_max_length}
    return {
        "tokenizer.json": tokenizer,
        "tokenizer_config.json": as_json(config),
        "special_tokens_map.json": as_json(specials),
    }


def words() -> list[str]:
    """The words of the texts in the order of their first use, in small letters."""
    return list(dict.fromkeys(word for text in TEXTS for word in text.lower().split() if word.isalpha()))


def siglip_pieces() -> list[tuple[str, float]]:
    model = json.loads((GOLDEN / "hf-siglip" / "tokenizer.json").read_bytes())["model"]
    return [(piece, score) for piece, score in model["vocab"] if not piece.startswith("<") and piece != "</s>"]


def t5_like() -> dict[str, str]:
    """SigLIP's: sentencepiece, the end is the padding too."""
    specials = {"eos_token": "</s>", "pad_token": "</s>", "unk_token": "<unk>"}
    return tokenizer_files((GOLDEN / "hf-siglip" / "tokenizer.json").read_text("utf-8"), specials, 64)


def gemma_like() -> dict[str, str]:
    """SigLIP 2's: BPE over characters with spaces as `▁` and bytes for what it does not know; no word before the first."""
    specials = {"pad_token": "<pad>", "eos_token": "<eos>", "bos_token": "<bos>", "unk_token": "<unk>"}
    normalizer = normalizers.Replace(" ", "▁")
    learner = Tokenizer(models.BPE())
    learner.normalizer = normalizer
    learner.train_from_iterator([" ".join(words())] * 2, trainers.BpeTrainer(vocab_size=120, show_progress=False))
    learned = json.loads(learner.to_str())["model"]
    tokens = [*specials.values(), *(f"<0x{byte:02X}>" for byte in range(256)), *learned["vocab"], *"0123456789%&"]
    vocabulary = {token: place for place, token in enumerate(dict.fromkeys(tokens))}
    merges = [tuple(pair) for pair in learned["merges"]]
    model = models.BPE(vocab=vocabulary, merges=merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return finish(tokenizer, specials, "$A <eos>", 64)


def bert_like() -> dict[str, str]:
    """WordPiece in small letters with the special tokens where BERT has them."""
    named = {100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]"}
    first = ["[PAD]", *(named.get(place, f"[unused{place}]") for place in range(1, 104))]
    signs = [*"abcdefghijklmnopqrstuvwxyz0123456789.,;!?%&'—", *"日本語"]
    pieces = [*signs, *(f"##{sign}" for sign in signs if sign.isalnum()), *words()[::2], "##ing", "air", "##plane"]
    vocabulary = {token: place for place, token in enumerate(dict.fromkeys([*first, *pieces]))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    specials = {
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
    }
    return finish(tokenizer, specials, "[CLS] $A [SEP]", 512)


def xlm_like() -> dict[str, str]:
    """XLM-RoBERTa's and XLM-V's: sentencepiece with capitals, a token at the start and one at the end."""
    capitals = [(letter, -9.0) for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"]
    first = [(token, 0.0) for token in ("<s>", "<pad>", "</s>", "<unk>")]
    tokenizer = Tokenizer(models.Unigram([*first, *siglip_pieces(), *capitals], unk_id=3))
    collapse = normalizers.Replace(Regex(" {2,}"), " ")
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), collapse])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.decoder = decoders.Metaspace()
    specials = {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "sep_token": "</s>",
        "pad_token": "<pad>",
        "cls_token": "<s>",
    }
    return finish(tokenizer, specials, "<s> $A </s>", 512)


def entries(files: dict[str, str]) -> int:
    return Tokenizer.from_str(files["tokenizer.json"]).get_vocab_size()


# -------------------------------------------------------------------------------------------------------------- weights


def randomise(model: torch.nn.Module, golden: str, faint: float = FAINT) -> None:
    """Give every parameter and buffer a value that shows; a tensor's numbers depend on its name alone."""
    norms = (torch.nn.LayerNorm, torch.nn.BatchNorm2d)
    scales = {f"{name}.weight" for name, part in model.named_modules() if isinstance(part, norms)}
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            values = np.random.default_rng([zlib.crc32(golden.encode()), zlib.crc32(name.encode())])
            drawn = draw(name, tuple(tensor.shape), values, scale=name in scales)
            drawn = drawn * faint if name.rpartition(".")[0].endswith(FIRST) or embeds(name) else drawn
            tensor.copy_(torch.from_numpy(drawn.astype(np.float16)))


def embeds(name: str) -> bool:
    """Whether these are the vectors of tokens, positions, the class or the query of a pool."""
    last = name.rpartition(".")[2]
    return last in {"cls_token", "latent"} or ("embed" in name and "patch_embed" not in name and "Norm" not in name)


def draw(name: str, shape: tuple[int, ...], values: np.random.Generator, *, scale: bool) -> np.ndarray:
    last = name.rpartition(".")[2]
    if last in {"logit_scale", "logit_bias"}:
        return np.asarray(values.uniform(2.5, 4.5) if last == "logit_scale" else values.uniform(-12, -8))
    if last in {"gamma_1", "gamma_2", "running_var"}:
        return values.uniform(0.5, 1.0, shape)
    if scale:
        return values.uniform(0.8, 1.2, shape)
    if embeds(name):
        return values.uniform(-0.8, 0.8, shape)
    if len(shape) < 2:
        return values.uniform(-0.2, 0.2, shape)
    inputs = shape[0] if last in {"proj", "text_projection"} else math.prod(shape[1:])
    few = np.array([-1.0, 1.0]) if math.prod(shape) >= 2**14 else np.array([-3.0, -1.0, 1.0, 3.0]) / math.sqrt(5)
    return values.choice(few, shape) * 1.25 / math.sqrt(inputs)


def shrink(tensors: dict[str, torch.Tensor], ids: np.ndarray) -> dict[str, torch.Tensor]:
    """Zeros for the tokens that no text looks up: they cannot change an output."""
    table = next(name for name in tensors if name.endswith(("token_embedding.weight", "word_embeddings.weight")))
    used = torch.from_numpy(np.unique(ids))
    kept = torch.zeros_like(tensors[table])
    kept[used] = tensors[table][used]
    return {**tensors, table: kept}


# ---------------------------------------------------------------------------------------------------------- the outputs


@dataclass(frozen=True)
class Reference:
    """A model as its library has read it, with what it is to be asked."""

    model: torch.nn.Module
    image: Callable[[torch.Tensor], torch.Tensor]
    text: Callable[[torch.Tensor], torch.Tensor]
    pixels: torch.Tensor
    ids: torch.Tensor

    def features(self) -> tuple[np.ndarray, np.ndarray]:
        with torch.no_grad():
            return self.image(self.pixels).numpy(), self.text(self.ids).numpy()

    def arrays(self) -> dict[str, np.ndarray]:
        images, texts = self.features()
        logits = {name: value for name, value in self.model.state_dict().items() if name.startswith("logit_")}
        return {
            "pixel_values": self.pixels.numpy(),
            "image_features": images,
            "input_ids": self.ids.numpy(),
            "text_features": texts,
            **{name: value.numpy() for name, value in logits.items()},
        }


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def idle(reference: Reference) -> Iterator[str]:
    """The tensors that could be turned around unseen, and both towers if their rows are all alike."""
    before = [unit(rows) for rows in reference.features()]
    for name, rows in zip(("pictures", "texts"), before, strict=True):
        if np.min(rows @ rows.T) > 0.98:
            yield name
    for name, tensor in reference.model.state_dict().items():
        if name.endswith(FREE + SHIFTS):
            continue
        kept = tensor.clone()
        tensor.copy_(kept.flatten().flip(0).view_as(kept))
        after = [unit(rows) for rows in reference.features()]
        tensor.copy_(kept)
        if max(np.abs(new - old).max() for new, old in zip(after, before, strict=True)) < MATTERS:
            yield name


def pictures() -> list[Image.Image]:
    return [Image.open(path).convert("RGB") for path in sorted((GOLDEN / "pictures").glob("*.png"))]


# ----------------------------------------------------------------------------------------------------------- the goldens


@dataclass(frozen=True)
class OpenClip:
    """A golden of open_clip's layout."""

    note: str
    model: dict[str, Any]
    preprocess: dict[str, Any]
    tokenizer: dict[str, str] = field(default_factory=dict)
    hf_text: dict[str, Any] | None = None  # the configuration of the Hugging Face text tower
    faint: float = FAINT
    weights = "open_clip_model.safetensors"

    def configure(self, folder: Path) -> None:
        """Write all but the weights."""
        config = {"model_cfg": self.model, "preprocess_cfg": self.preprocess}
        (folder / "open_clip_config.json").write_text(as_json(config), "utf-8")
        for name, content in self.tokenizer.items():
            (folder / name).write_text(content, "utf-8")

    @contextlib.contextmanager
    def hub(self) -> Iterator[None]:
        """Where open_clip finds the configuration of the text tower by its name: in the current folder."""
        with TemporaryDirectory() as folder, contextlib.chdir(folder):
            if self.hf_text is not None:
                place = Path(self.model["text_cfg"]["hf_model_name"])
                place.mkdir()
                (place / "config.json").write_text(as_json(self.hf_text), "utf-8")
            yield

    def save_weights(self, folder: Path, name: str) -> None:
        import open_clip

        with self.hub():
            model = open_clip.create_model(f"local-dir:{folder}", pretrained_text=False)
        randomise(model, name, self.faint)
        state = {key: value.half() if value.is_floating_point() else value for key, value in model.state_dict().items()}
        if self.hf_text is not None:  # older releases of transformers saved it, and real checkpoints have it
            places = torch.arange(self.hf_text["max_position_embeddings"])[None]
            state["text.transformer.embeddings.position_ids"] = places
        save_file(state, folder / self.weights)

    def read(self, folder: Path) -> Reference:
        import open_clip

        with self.hub():
            model, transform = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
        return Reference(
            model=model.eval(),
            image=model.encode_image,
            text=model.encode_text,
            pixels=torch.stack([transform(picture) for picture in pictures()]),
            ids=open_clip.get_tokenizer(f"local-dir:{folder}")(TEXTS).long(),
        )


@dataclass(frozen=True)
class MetaClip2:
    """A golden of transformers' layout."""

    note: str
    tokenizer: dict[str, str]
    weights = "model.safetensors"

    def configure(self, folder: Path) -> None:
        """Write all but the configuration and the weights."""
        preprocessor = {
            "crop_size": {"height": 64, "width": 64},
            "do_center_crop": True,
            "do_convert_rgb": True,
            "do_normalize": True,
            "do_rescale": True,
            "do_resize": True,
            "image_mean": OPENAI["mean"],
            "image_std": OPENAI["std"],
            "image_processor_type": "CLIPImageProcessor",
            "resample": 3,
            "rescale_factor": 1 / 255,
            "size": {"shortest_edge": 64},
        }
        (folder / "preprocessor_config.json").write_text(as_json(preprocessor), "utf-8")
        for name, content in self.tokenizer.items():
            (folder / name).write_text(content, "utf-8")

    def save_weights(self, folder: Path, name: str) -> None:
        from transformers import MetaClip2Config, MetaClip2Model

        text = {
            "vocab_size": entries(self.tokenizer),
            "hidden_size": 64,
            "intermediate_size": 256,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "projection_dim": 48,
            "pad_token_id": 1,
            "bos_token_id": 0,
            "eos_token_id": 2,
        }
        vision = {
            "hidden_size": 128,
            "intermediate_size": 512,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 64,
            "patch_size": 16,
            "projection_dim": 48,
        }
        model = MetaClip2Model(MetaClip2Config(text_config=text, vision_config=vision, projection_dim=48))
        randomise(model, name)
        model.half().save_pretrained(folder)

    def read(self, folder: Path) -> Reference:
        from torchvision import transforms
        from transformers import AutoTokenizer, MetaClip2Model

        model = MetaClip2Model.from_pretrained(folder, dtype=torch.float32).eval()
        # transformers has had two ways to cut an odd rest off; this is torchvision's, and that of the other goldens
        transform = transforms.Compose(
            [
                transforms.Resize(64, transforms.InterpolationMode.BICUBIC),
                transforms.CenterCrop(64),
                transforms.ToTensor(),
                transforms.Normalize(OPENAI["mean"], OPENAI["std"]),
            ]
        )
        asked = {"padding": "max_length", "max_length": 77, "truncation": True, "return_tensors": "pt"}
        return Reference(
            model=model,
            image=lambda pixels: model.get_image_features(pixel_values=pixels).pooler_output,
            text=lambda ids: model.get_text_features(input_ids=ids).pooler_output,
            pixels=torch.stack([transform(picture) for picture in pictures()]),
            ids=AutoTokenizer.from_pretrained(folder)(TEXTS, **asked)["input_ids"],
        )


def siglip() -> OpenClip:
    from timm.models.vision_transformer import vit_base_patch16_siglip_224

    files = t5_like()
    trunk = tiny("vit_tiny_patch16_siglip_64", vit_base_patch16_siglip_224)
    text = siglip_text(files) | {"proj_bias": True}
    return OpenClip(
        note="SigLIP as open_clip has it: map pooling without a projection; GELU in both towers; the text is "
        "canonicalised, padded to 64, not causal, pooled at the last position; its projection has a bias",
        model=siglip_model(trunk, text),
        preprocess={**HALF, "interpolation": "bicubic", "resize_mode": "squash"},
        tokenizer=files,
    )


def siglip2() -> OpenClip:
    from timm.models.vision_transformer import vit_base_patch32_siglip_256

    files = gemma_like()
    trunk = tiny("vit_tiny_patch32_siglip_64", vit_base_patch32_siglip_256, patch_size=32)
    text = siglip_text(files) | {"width": 128, "proj_type": "none", "act_kwargs": {"approximate": "tanh"}}
    return OpenClip(
        note="SigLIP 2 as open_clip has it: GELU by tanh in both towers, a tokenizer of Gemma's kind; and, as the "
        "multilingual SigLIP SO400M has it, no projection of the text",
        model=siglip_model(trunk, text),
        preprocess={**HALF, "interpolation": "bicubic", "resize_mode": "squash"},
        tokenizer=files,
    )


def siglip_text(files: dict[str, str]) -> dict[str, Any]:
    return {
        "context_length": 64,
        "vocab_size": entries(files),
        "hf_tokenizer_name": "timm/tiny",
        "tokenizer_kwargs": {"clean": "canonicalize"},
        "width": 64,
        "heads": 2,
        "layers": 2,
        "no_causal_mask": True,
        "pool_type": "last",
        "norm_kwargs": {"eps": 1e-6},
    }


def siglip_model(trunk: str, text: dict[str, Any]) -> dict[str, Any]:
    vision = timm_vision(trunk) | {"timm_pool": "map", "timm_proj": "none"}
    return {"embed_dim": 128, "init_logit_bias": -10, "custom_text": True, "vision_cfg": vision, "text_cfg": text}


def timm_vision(trunk: str) -> dict[str, Any]:
    """What the configurations of timm's trunks have in common."""
    named = {"timm_model_name": trunk, "timm_model_pretrained": False}
    return {"image_size": 64, **named, "timm_pool": "token", "timm_proj": None}


def clipa() -> OpenClip:
    files = bert_like()
    vision = VIT | {"patch_size": 14, "no_ln_pre": True, "pool_type": "avg", "final_ln_after_pool": True}
    text = {
        "context_length": 32,
        "vocab_size": entries(files),
        "hf_tokenizer_name": "bert-base-uncased",
        "tokenizer_kwargs": {"strip_sep_token": True},
        "width": 64,
        "heads": 2,
        "layers": 2,
        "pool_type": "last",
        "no_causal_mask": True,
    }
    return OpenClip(
        note="CLIPA: no norm before the blocks, the mean of the patches and then the norm; the text ends in zeros, is "
        "not causal, pooled at the last position; patches of 14 in pictures of 64, so that eight rows are left over",
        model={"embed_dim": 48, "vision_cfg": vision, "text_cfg": text},
        preprocess={**IMAGENET, "interpolation": "bilinear", "resize_mode": "squash"},
        tokenizer=files,
    )


def worldwide() -> OpenClip:
    files = xlm_like()
    text = CLIP_TEXT | {
        "vocab_size": entries(files),
        "hf_tokenizer_name": "facebook/xlm-v-base",
        "pool_type": "eos",
        "eos_id": 2,
    }
    return OpenClip(
        note="MetaCLIP 2 (worldwide) as open_clip has it: QuickGELU, text pooled at the first token 2, padded with 1",
        model={"embed_dim": 48, "quick_gelu": True, "vision_cfg": VIT, "text_cfg": text},
        preprocess={**OPENAI, **SHORTEST},
        tokenizer=files,
    )


def metaclip2() -> MetaClip2:
    return MetaClip2(
        note="transformers MetaClip2Model: QuickGELU, text padded with 1 to 77 and pooled at the first token 2",
        tokenizer=xlm_like(),
    )


def eva02() -> OpenClip:
    from timm.models.eva import eva02_large_patch14_clip_224

    return custom_text(
        "EVA-02 CLIP (base and large alike): rotary and learned positions, SwiGLU, norms inside attention and MLP",
        timm_vision(tiny("eva02_tiny_patch16_clip_64", eva02_large_patch14_clip_224)),
        {**OPENAI, **SHORTEST},
    )


def eva02_e() -> OpenClip:
    from timm.models.eva import eva02_enormous_patch14_clip_224

    return custom_text(
        "EVA-02 CLIP E: norms after attention and MLP, learned positions only, GELU",
        timm_vision(tiny("eva02_enormous_patch16_clip_64", eva02_enormous_patch14_clip_224)),
        {**OPENAI, **SHORTEST},
        faint=1.0,  # no norm comes before the first attention
    )


def eva01() -> OpenClip:
    from timm.models.eva import eva_giant_patch14_224

    return custom_text(
        "EVA CLIP g: norms before attention and MLP, learned positions only, GELU, no bias for keys",
        timm_vision(tiny("eva_giant_patch16_64", eva_giant_patch14_224)),
        {**OPENAI, **SHORTEST},
    )


def pe_core() -> OpenClip:
    from timm.models.eva import vit_pe_core_base_patch16_224

    trunk = tiny("vit_pe_core_tiny_patch16_64", vit_pe_core_base_patch16_224, ref_feat_shape=(4, 4))
    return custom_text(
        "Perception Encoder core (T, S, B and L alike): a class token, rotary and learned positions, map pooling",
        timm_vision(trunk) | {"timm_pool": "map"},
        {**HALF, "interpolation": "bilinear", "resize_mode": "squash"},
        context_length=32,
    )


def pe_core_g() -> OpenClip:
    from timm.models.eva import vit_pe_core_gigantic_patch14_448

    trunk = tiny("vit_pe_core_gigantic_patch16_64", vit_pe_core_gigantic_patch14_448, ref_feat_shape=(4, 4))
    return custom_text(
        "Perception Encoder core G: no class token, rotary positions that begin at zero",
        timm_vision(trunk) | {"timm_pool": "map"},
        {**HALF, "interpolation": "bilinear", "resize_mode": "squash"},
        context_length=72,
    )


def mobileclip2_b() -> OpenClip:
    dropped = {"timm_drop": 0.0, "timm_drop_path": 0.0}
    return custom_text(
        "MobileCLIP2 B: a stem of three convolutions with batch norms, no position for the class token",
        timm_vision(tiny("vit_tiny_mci_64", mci)) | dropped,
        {**NOTHING, "interpolation": "bilinear", "resize_mode": "shortest"},
        no_causal_mask=False,
    )


def mobileclip2_l() -> OpenClip:
    from timm.models.vision_transformer import vit_large_patch14_clip_224

    dropped = {"timm_drop": 0.0, "timm_drop_path": 0.1}
    return custom_text(
        "MobileCLIP2 L: CLIP's vision tower in timm's names; the text is not causal",
        timm_vision(tiny("vit_tiny_patch16_clip_64", vit_large_patch14_clip_224)) | dropped,
        {**OPENAI, **SHORTEST},
        no_causal_mask=True,
    )


def custom_text(
    note: str, vision: dict[str, Any], preprocess: dict[str, Any], faint: float = FAINT, **text: Any
) -> OpenClip:
    """A trunk of timm's beside CLIP's text tower."""
    towers = {"vision_cfg": vision, "text_cfg": CLIP_TEXT | text}
    model = {"embed_dim": 48, **towers, "custom_text": True}
    return OpenClip(note=note, model=model, preprocess=preprocess, faint=faint)


def xlm_roberta() -> OpenClip:
    files = xlm_like()
    named = "xlm-roberta-base"
    text = {"hf_model_name": named, "hf_tokenizer_name": named, "hf_pooler_type": "mean_pooler"}
    tower = {
        "model_type": "xlm-roberta",
        "architectures": ["XLMRobertaForMaskedLM"],
        "vocab_size": entries(files),
        "hidden_size": 128,
        "intermediate_size": 512,
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "max_position_embeddings": 82,
        "type_vocab_size": 1,
        "layer_norm_eps": 1e-5,
        "hidden_act": "gelu",
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
    }
    return OpenClip(
        note="a text tower of transformers' XLMRobertaModel: positions are counted from 2, norms come after, the mean "
        "of all that is no padding goes through two projections with a GELU between them",
        model={"embed_dim": 48, "vision_cfg": VIT, "text_cfg": text},
        preprocess={**OPENAI, **SHORTEST},
        tokenizer=files,
        hf_text=tower,
    )


GOLDENS: dict[str, Callable[[], OpenClip | MetaClip2]] = {
    "open_clip-siglip": siglip,
    "open_clip-siglip2": siglip2,
    "open_clip-clipa": clipa,
    "open_clip-worldwide": worldwide,
    "hf-metaclip2": metaclip2,
    "open_clip-eva02": eva02,
    "open_clip-eva02-e": eva02_e,
    "open_clip-eva01": eva01,
    "open_clip-pe-core": pe_core,
    "open_clip-pe-core-g": pe_core_g,
    "open_clip-mobileclip2-b": mobileclip2_b,
    "open_clip-mobileclip2-l": mobileclip2_l,
    "open_clip-xlm-roberta": xlm_roberta,
}


def make(name: str) -> None:
    """Write one golden."""
    golden = GOLDENS[name]()
    with TemporaryDirectory() as made:
        folder = Path(made)
        golden.configure(folder)
        golden.save_weights(folder, name)
        reference = golden.read(folder)
        unseen = list(idle(reference))
        if unseen:
            raise SystemExit(f"{name}: nothing depends on {', '.join(unseen)}")
        arrays = reference.arrays()
        save_file(shrink(load_file(folder / golden.weights), arrays["input_ids"]), folder / golden.weights)
        shrunk = golden.read(folder).arrays()
        if any(not np.array_equal(shrunk[key], arrays[key]) for key in arrays):
            raise SystemExit(f"{name}: the zeros changed an output")
        packed = (folder / golden.weights).read_bytes()
        (folder / golden.weights).unlink()
        (folder / f"{golden.weights}.gz").write_bytes(gzip.compress(packed, 9, mtime=0))
        np.savez_compressed(folder / "golden.npz", **arrays)
        note = f"{golden.note}; {versions()}; features are unnormalised"
        (folder / "golden.json").write_text(as_json({"note": note, "texts": TEXTS}), "utf-8")
        target = GOLDEN / name
        target.mkdir(exist_ok=True)
        for path in sorted(folder.iterdir()):
            (target / path.name).write_bytes(path.read_bytes())
    size = sum(path.stat().st_size for path in target.iterdir())
    print(f"{name}: {size / 1000:.0f} kB")


def main(names: list[str]) -> None:
    """Make the goldens of these names, or all."""
    define_operators()
    torch.set_num_threads(1)
    for name in names or GOLDENS:
        make(name)


if __name__ == "__main__":
    main(sys.argv[1:])
