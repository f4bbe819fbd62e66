"""CLIP's image tower beside a text tower of RoBERTa or XLM-R (Conneau et al., 2020, arXiv 1911.02116).

Post-norm blocks; every token sees every other, and no padding; read as the mean of all tokens through a small perceptron.
Follows open_clip's HFTextEncoder with `mean_pooler`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from glimpse.models._transformer import Weights, perceptron
from glimpse.models.clip import image_tower
from glimpse.models.formats import open_clip
from glimpse.models.formats.recipes import BlockNames, Layout, Recipe, Recipes, Source, block, pair, same
from glimpse.runtimes import Array, Ops, Tensor
from glimpse.values import ModelCard, TextRules, TowerShape

__all__ = ["card", "claims", "image_tower", "recipes", "text_tower"]

_EPS = 1e-5
_HEAD = 64
_FIRST = 2  # RoBERTa counts places from the one after its padding's
_CONTEXT = 77  # open_clip's, whatever the text model could take
_AT = "text.transformer"
_NAMES = (
    "roberta-base",
    "roberta-large",
    "xlm-roberta-base",
    "xlm-roberta-large",
)  # others are called so and are BERTs
_BLOCK = BlockNames(
    norm1="attention.output.LayerNorm",
    qkv=tuple(f"attention.self.{name}.{{}}" for name in ("query", "key", "value")),
    out="attention.output.dense",
    norm2="output.LayerNorm",
    up="intermediate.dense",
    down="output.dense",
)


def text_tower(ops: Ops, w: Weights, card: ModelCard, ids: Tensor) -> Tensor:
    """Embed texts of one length: int64 (n, tokens) → (n, dim) unit rows."""
    x = ops.embed(ids, w["text.tokens"], w["text.positions"])  # (n, tokens, width)
    x = ops.layer_norm(x, w["text.before.weight"], w["text.before.bias"], card.text.eps)
    for i in range(card.text.layers):
        x = _block(ops, w, f"text.{i}", card.text, x)
    x = ops.gelu(ops.linear(ops.mean(x), w["text.middle"]))
    return ops.unit(ops.linear(x, w["text.projection"]))


def _block(ops: Ops, w: Weights, at: str, shape: TowerShape, x: Tensor) -> Tensor:
    y = ops.attention(ops.linear(x, w[f"{at}.qkv.weight"], w[f"{at}.qkv.bias"]), shape.heads)
    x = ops.add(x, ops.linear(y, w[f"{at}.out.weight"], w[f"{at}.out.bias"]))
    x = ops.layer_norm(x, w[f"{at}.norm1.weight"], w[f"{at}.norm1.bias"], shape.eps)
    x = ops.add(x, perceptron(ops, w, at, shape, x))
    return ops.layer_norm(x, w[f"{at}.norm2.weight"], w[f"{at}.norm2.bias"], shape.eps)


def claims(layout: Layout, config: Mapping[str, Any]) -> bool:
    """A plain ViT beside RoBERTa, read as a mean."""
    text = config.get("text_cfg") or {}
    return (
        layout == "open_clip"
        and open_clip.plain_image(config)
        and {word for word, value in text.items() if value} <= {"hf_model_name", "hf_tokenizer_name", "hf_pooler_type"}
        and text.get("hf_model_name", "").removeprefix("FacebookAI/") in _NAMES
        and text.get("hf_pooler_type") == "mean_pooler"
    )


def card(source: Source) -> ModelCard:
    """What the checkpoint is."""
    vocabulary, width = source.shape(f"{_AT}.embeddings.word_embeddings.weight")
    at = f"{_AT}.encoder.layer."
    layers = {name.removeprefix(at).split(".")[0] for name in source.tensors.shapes if name.startswith(at)}
    mlp = source.shape(f"{at}0.intermediate.dense.weight")[0]
    words = TextRules("web", padding="none", tokenizer=source.config["model_cfg"]["text_cfg"]["hf_tokenizer_name"])
    return open_clip.card(
        source,
        "xlm_roberta",
        text=TowerShape(width, len(layers), width // _HEAD, mlp, "gelu", _EPS),
        vocabulary=vocabulary,
        context=_CONTEXT,
        end_id=None,
        causal=False,
        words=words,
    )


def recipes(source: Source, card: ModelCard) -> Recipes:
    """How each canonical weight is made."""
    width, middle = card.text.width, (card.text.width + card.dim) // 2
    at = f"{_AT}.embeddings"
    places = source.shape(f"{at}.position_embeddings.weight")[0]
    position, kind = (f"{at}.position_embeddings.weight", f"{at}.token_type_embeddings.weight")
    text = {
        "text.tokens": same(f"{at}.word_embeddings.weight", card.vocabulary, width),
        "text.positions": Recipe((position, kind), ((places, width), (1, width)), _positions),
        **pair("text.before", f"{at}.LayerNorm", width),
        "text.middle": same("text.proj.0.weight", middle, width),
        "text.projection": same("text.proj.2.weight", card.dim, middle),
    }
    for i in range(card.text.layers):
        text |= block(f"text.{i}", f"{_AT}.encoder.layer.{i}", card.text, _BLOCK)
    return {"image": open_clip.vit(card), "text": text}


def _positions(sources: Sequence[Array]) -> Array:
    """Every token is of the one type, so its embedding goes with the positions: → (context, width)."""
    places, kinds = sources
    return np.ascontiguousarray(places[_FIRST : _FIRST + _CONTEXT] + kinds[0])
