"""What families share: pre-norm transformer blocks (Vaswani et al., 2017; Xiong et al., 2020) and the text tower made of them.

Knows neither runtimes nor file layouts.
"""

from collections.abc import Mapping

from glimpse.runtimes import Array, Ops, Tensor
from glimpse.values import ModelCard, TowerShape

Weights = Mapping[str, Array]


def text_tower(ops: Ops, w: Weights, card: ModelCard, ids: Tensor) -> Tensor:
    """Embed texts as CLIP does: int64 (n, tokens) → (n, dim) unit rows; the card says what sees what, and where it is read."""
    x = ops.embed(ids, w["text.tokens"], w["text.positions"])  # (n, tokens, width)
    for i in range(card.text.layers):
        x = block(ops, w, f"text.{i}", card.text, x, causal=card.causal)
    x = ops.take(x, -1 if card.words.pool == "last" else ops.end(ids, card.end_id))  # (n, width)
    x = ops.layer_norm(x, w["text.after.weight"], w["text.after.bias"], card.text.eps)
    return ops.unit(project(ops, w, "text", x))


def project(ops: Ops, w: Weights, tower: str, x: Tensor) -> Tensor:
    """Bring a tower's result to the width of the vectors, where the checkpoint has a projection: (n, width) → (n, dim)."""
    weight = w.get(f"{tower}.projection")
    return x if weight is None else ops.linear(x, weight, w.get(f"{tower}.projection.bias"))


def block(
    ops: Ops, w: Weights, at: str, shape: TowerShape, x: Tensor, *, causal: bool = False, rotary: Array | None = None
) -> Tensor:
    """One block: (n, tokens, width) → the same."""
    y = ops.layer_norm(x, w[f"{at}.norm1.weight"], w[f"{at}.norm1.bias"], shape.eps)
    y = ops.linear(y, w[f"{at}.qkv.weight"], w[f"{at}.qkv.bias"])
    return after_attention(ops, w, at, shape, x, ops.attention(y, shape.heads, causal=causal, rotary=rotary))


def last_block(ops: Ops, w: Weights, at: str, shape: TowerShape, x: Tensor) -> Tensor:
    """Compute the first token alone, for nothing else is read of the last block: (n, tokens, width) → (n, width)."""
    y = ops.layer_norm(x, w[f"{at}.norm1.weight"], w[f"{at}.norm1.bias"], shape.eps)
    weight, bias, width = w[f"{at}.qkv.weight"], w[f"{at}.qkv.bias"], shape.width
    q, kv = ops.linear(ops.take(y, 0), weight[:width], bias[:width]), ops.linear(y, weight[width:], bias[width:])
    return after_attention(ops, w, at, shape, ops.take(x, 0), ops.pool(q, kv, shape.heads))


def after_attention(ops: Ops, w: Weights, at: str, shape: TowerShape, x: Tensor, y: Tensor) -> Tensor:
    """The rest of a block: x is what came in, y what was attended to; any number of tokens."""
    x = ops.add(x, ops.linear(y, w[f"{at}.out.weight"], w[f"{at}.out.bias"]))
    y = ops.layer_norm(x, w[f"{at}.norm2.weight"], w[f"{at}.norm2.bias"], shape.eps)
    return ops.add(x, perceptron(ops, w, at, shape, y))


def perceptron(ops: Ops, w: Weights, at: str, shape: TowerShape, x: Tensor) -> Tensor:
    """Two layers with an activation between them."""
    activate = {"gelu": ops.gelu, "gelu_tanh": ops.gelu_tanh, "quick_gelu": ops.quick_gelu}[shape.activation]
    x = activate(ops.linear(x, w[f"{at}.up.weight"], w[f"{at}.up.bias"]))
    return ops.linear(x, w[f"{at}.down.weight"], w[f"{at}.down.bias"])


def attention_pool(ops: Ops, w: Weights, shape: TowerShape, x: Tensor) -> Tensor:
    """Read a tower by attention from one learnt query, and a perceptron after it: (n, tokens, width) → (n, width)."""
    kv = ops.linear(x, w["image.pool.kv.weight"], w["image.pool.kv.bias"])
    x = ops.pool(w["image.pool.query"], kv, shape.heads)
    x = ops.linear(x, w["image.pool.out.weight"], w["image.pool.out.bias"])
    y = ops.layer_norm(x, w["image.pool.norm.weight"], w["image.pool.norm.bias"], shape.eps)
    return ops.add(x, perceptron(ops, w, "image.pool", shape, y))
