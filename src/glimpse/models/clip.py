"""The towers of CLIP (Radford et al., 2021, arXiv 2103.00020) with a ViT and a causal text transformer.

Follows OpenAI's model as transformers and open_clip compute it: pre-norm blocks, the class token and the end-of-text token
pooled after a last layer norm, projected without bias, scaled to unit length. Knows neither runtimes nor file layouts.
"""

from collections.abc import Mapping
from typing import Literal

from glimpse.runtimes import Array, Ops, Tensor
from glimpse.values import ModelCard, TowerShape

Weights = Mapping[str, Array]


def image_tower(ops: Ops, w: Weights, card: ModelCard, pixels: Tensor) -> Tensor:
    """Embed pictures: uint8 (n, size, size, 3) → (n, dim) unit rows. Mean and std are folded into the patch weights."""
    x = ops.patchify(pixels, w["image.patch.weight"], w["image.patch.bias"], card.patch)  # (n, patches, width)
    x = ops.add(ops.prepend(w["image.class"], x), w["image.positions"])  # (n, 1 + patches, width)
    x = ops.layer_norm(x, w["image.before.weight"], w["image.before.bias"], card.image.eps)
    for i in range(card.image.layers - 1):
        x = _block(ops, w, f"image.{i}", card.image, x, causal=False)
    x = _last_block(ops, w, f"image.{card.image.layers - 1}", card.image, x)  # (n, width)
    x = ops.layer_norm(x, w["image.after.weight"], w["image.after.bias"], card.image.eps)
    return ops.unit(ops.linear(x, w["image.projection"]))


def text_tower(ops: Ops, w: Weights, card: ModelCard, ids: Tensor) -> Tensor:
    """Embed texts: int64 (n, tokens) → (n, dim) unit rows; what stands after the end of a text does not matter."""
    x = ops.embed(ids, w["text.tokens"], w["text.positions"])  # (n, tokens, width)
    for i in range(card.text.layers):
        x = _block(ops, w, f"text.{i}", card.text, x, causal=True)
    x = ops.take(x, ops.end(ids, card.end_id))  # (n, width)
    x = ops.layer_norm(x, w["text.after.weight"], w["text.after.bias"], card.text.eps)
    return ops.unit(ops.linear(x, w["text.projection"]))


def _block(ops: Ops, w: Weights, at: str, shape: TowerShape, x: Tensor, *, causal: bool) -> Tensor:
    y = ops.layer_norm(x, w[f"{at}.norm1.weight"], w[f"{at}.norm1.bias"], shape.eps)
    y = ops.attention(ops.linear(y, w[f"{at}.qkv.weight"], w[f"{at}.qkv.bias"]), shape.heads, causal=causal)
    return _after_attention(ops, w, at, shape, x, y)


def _last_block(ops: Ops, w: Weights, at: str, shape: TowerShape, x: Tensor) -> Tensor:
    """Compute the class token alone, for nothing else is read of the last block: (n, tokens, width) → (n, width)."""
    y = ops.layer_norm(x, w[f"{at}.norm1.weight"], w[f"{at}.norm1.bias"], shape.eps)
    weight, bias, width = w[f"{at}.qkv.weight"], w[f"{at}.qkv.bias"], shape.width
    q, kv = ops.linear(ops.take(y, 0), weight[:width], bias[:width]), ops.linear(y, weight[width:], bias[width:])
    return _after_attention(ops, w, at, shape, ops.take(x, 0), ops.pool(q, kv, shape.heads))


def _after_attention(ops: Ops, w: Weights, at: str, shape: TowerShape, x: Tensor, y: Tensor) -> Tensor:
    """The rest of a block: x is what came in, y what was attended to; any number of tokens."""
    activate = {"gelu": ops.gelu, "quick_gelu": ops.quick_gelu}[shape.activation]
    x = ops.add(x, ops.linear(y, w[f"{at}.out.weight"], w[f"{at}.out.bias"]))
    y = ops.layer_norm(x, w[f"{at}.norm2.weight"], w[f"{at}.norm2.bias"], shape.eps)
    y = activate(ops.linear(y, w[f"{at}.up.weight"], w[f"{at}.up.bias"]))
    return ops.add(x, ops.linear(y, w[f"{at}.down.weight"], w[f"{at}.down.bias"]))


def tower_shapes(card: ModelCard, tower: Literal["image", "text"]) -> dict[str, tuple[int, ...]]:
    """Every canonical weight of one tower with its shape."""
    if tower == "image":
        shape, patches = card.image, (card.pixels.size // card.patch) ** 2
        edges: dict[str, tuple[int, ...]] = {
            "image.patch.weight": (card.patch, card.patch, 3, shape.width),
            "image.patch.bias": (shape.width,),
            "image.class": (shape.width,),
            "image.positions": (1 + patches, shape.width),
            "image.before.weight": (shape.width,),
            "image.before.bias": (shape.width,),
        }
    else:
        shape = card.text
        edges = {
            "text.tokens": (card.vocabulary, shape.width),
            "text.positions": (card.context, shape.width),
        }
    blocks = {f"{tower}.{i}.{name}": size for i in range(shape.layers) for name, size in _block_shapes(shape).items()}
    ends = {
        f"{tower}.after.weight": (shape.width,),
        f"{tower}.after.bias": (shape.width,),
        f"{tower}.projection": (card.dim, shape.width),
    }
    return {**edges, **blocks, **ends}


def _block_shapes(shape: TowerShape) -> dict[str, tuple[int, ...]]:
    width, mlp = shape.width, shape.mlp
    return {
        "norm1.weight": (width,),
        "norm1.bias": (width,),
        "qkv.weight": (3 * width, width),
        "qkv.bias": (3 * width,),
        "out.weight": (width, width),
        "out.bias": (width,),
        "norm2.weight": (width,),
        "norm2.bias": (width,),
        "up.weight": (mlp, width),
        "up.bias": (mlp,),
        "down.weight": (width, mlp),
        "down.bias": (width,),
    }
