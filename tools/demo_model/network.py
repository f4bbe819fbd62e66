"""CLIP in torch, named and computed as in transformers' CLIPModel, so that the weights are its weights.

Knows the architecture and nothing of scenes, training or files. Attention is written out: on the
CPU the backward pass of the fused kernel is 2.4 times slower.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  torch's own short name


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of the network; the defaults come to 3.7 MB in float16."""

    vocabulary: int
    side: int = 96
    patch: int = 12
    context: int = 32
    projection: int = 192
    vision_width: int = 128
    vision_layers: int = 5
    vision_heads: int = 4
    vision_inner: int = 512
    text_width: int = 128
    text_layers: int = 3
    text_heads: int = 4
    text_inner: int = 384

    def config(self) -> dict[str, object]:
        """The `config.json` of a Hugging Face CLIP folder."""
        tower = {
            "hidden_act": "gelu",
            "layer_norm_eps": 1e-5,
            "attention_dropout": 0.0,
            "projection_dim": self.projection,
        }
        text = {
            "model_type": "clip_text_model",
            "vocab_size": self.vocabulary,
            "max_position_embeddings": self.context,
            "hidden_size": self.text_width,
            "intermediate_size": self.text_inner,
            "num_hidden_layers": self.text_layers,
            "num_attention_heads": self.text_heads,
            "bos_token_id": self.vocabulary - 2,
            "eos_token_id": self.vocabulary - 1,
            "pad_token_id": self.vocabulary - 1,
        }
        vision = {
            "model_type": "clip_vision_model",
            "image_size": self.side,
            "patch_size": self.patch,
            "num_channels": 3,
            "hidden_size": self.vision_width,
            "intermediate_size": self.vision_inner,
            "num_hidden_layers": self.vision_layers,
            "num_attention_heads": self.vision_heads,
        }
        return {
            "model_type": "clip",
            "architectures": ["CLIPModel"],
            "projection_dim": self.projection,
            "logit_scale_init_value": 2.6592,
            "text_config": tower | text,
            "vision_config": tower | vision,
        }


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(width, width) for _ in range(4))

    def forward(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        batch, length, width = tokens.shape
        parts = (self.q_proj, self.k_proj, self.v_proj)
        weight, bias = torch.cat([p.weight for p in parts]), torch.cat([p.bias for p in parts])
        mixed = F.linear(tokens, weight, bias).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = mixed.permute(2, 0, 3, 1, 4)  # each (batch, heads, length, width / heads)
        scores = query @ key.transpose(-1, -2) * (width // self.heads) ** -0.5
        if mask is not None:
            scores = scores + mask
        attended = scores.softmax(-1).to(value.dtype) @ value
        return self.out_proj(attended.transpose(1, 2).reshape(batch, length, width))


class MLP(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(tokens)))


class Layer(nn.Module):
    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.self_attn, self.mlp = Attention(width, heads), MLP(width, inner)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        tokens = tokens + self.self_attn(self.layer_norm1(tokens), mask)
        return tokens + self.mlp(self.layer_norm2(tokens))


class Encoder(nn.Module):
    def __init__(self, layers: int, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(width, heads, inner) for _ in range(layers))

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        for layer in self.layers:
            tokens = layer(tokens, mask)
        return tokens


class VisionEmbeddings(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.patch, cells = shape.patch, shape.side // shape.patch
        self.class_embedding = nn.Parameter(torch.randn(shape.vision_width) * 0.02)
        self.patch_embedding = nn.Conv2d(3, shape.vision_width, shape.patch, shape.patch, bias=False)
        self.position_embedding = nn.Embedding(cells**2 + 1, shape.vision_width)
        with torch.no_grad():  # a scale comparable to the patches': at the usual 0.02, where a thing is gets lost
            self.position_embedding.weight[0] = 0
            self.position_embedding.weight[1:] = 0.5 * _waves(cells, shape.vision_width)

    def forward(self, pixels: Tensor) -> Tensor:
        cells, side = pixels.shape[-1] // self.patch, self.patch
        cut = pixels.view(-1, 3, cells, side, cells, side).permute(0, 2, 4, 1, 3, 5).reshape(len(pixels), cells**2, -1)
        patches = cut @ self.patch_embedding.weight.flatten(1).T  # the convolution, much quicker on a CPU
        first = self.class_embedding.expand(len(pixels), 1, -1)
        return torch.cat([first, patches], 1) + self.position_embedding.weight


class VisionTower(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.vision_width
        self.embeddings = VisionEmbeddings(shape)
        self.pre_layrnorm = nn.LayerNorm(width)  # sic: the layout's own spelling
        self.encoder = Encoder(shape.vision_layers, width, shape.vision_heads, shape.vision_inner)
        self.post_layernorm = nn.LayerNorm(width)

    def forward(self, pixels: Tensor) -> Tensor:
        """(n, 3, side, side) → all tokens of the last layer, (n, 1 + cells², width)."""
        return self.encoder(self.pre_layrnorm(self.embeddings(pixels)))


class TextEmbeddings(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(shape.vocabulary, shape.text_width)
        self.position_embedding = nn.Embedding(shape.context, shape.text_width)
        nn.init.normal_(self.token_embedding.weight, std=0.5)
        nn.init.normal_(self.position_embedding.weight, std=0.2)

    def forward(self, ids: Tensor) -> Tensor:
        return self.token_embedding(ids) + self.position_embedding.weight[: ids.shape[1]]


class TextTower(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.end = shape.vocabulary - 1
        self.embeddings = TextEmbeddings(shape)
        self.encoder = Encoder(shape.text_layers, shape.text_width, shape.text_heads, shape.text_inner)
        self.final_layer_norm = nn.LayerNorm(shape.text_width)

    def forward(self, ids: Tensor) -> Tensor:
        """(n, length) token ids → the state at the first end mark, (n, width)."""
        length = ids.shape[1]
        mask = torch.full((length, length), float("-inf")).triu(1)
        tokens = self.encoder(self.embeddings(ids), mask)
        ends = (ids == self.end).int().argmax(1)
        return self.final_layer_norm(tokens[torch.arange(len(ids)), ends])


class CLIP(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.text_model, self.vision_model = TextTower(shape), VisionTower(shape)
        self.visual_projection = nn.Linear(shape.vision_width, shape.projection, bias=False)
        self.text_projection = nn.Linear(shape.text_width, shape.projection, bias=False)
        self.logit_scale = nn.Parameter(torch.tensor(np.log(1 / 0.07), dtype=torch.float32))

    def look(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Normalized pixels → unit embeddings (n, projection) and patch states (n, cells², width)."""
        tokens = self.vision_model(pixels)
        pooled = self.vision_model.post_layernorm(tokens[:, 0])
        return F.normalize(self.visual_projection(pooled).float(), dim=-1), tokens[:, 1:]

    def read(self, ids: Tensor) -> Tensor:
        """Token ids, padded with the end mark → unit embeddings (n, projection)."""
        return F.normalize(self.text_projection(self.text_model(ids)).float(), dim=-1)


def _waves(cells: int, width: int) -> Tensor:
    """(cells², width): sines and cosines of the row in one half, of the column in the other."""
    place = torch.arange(cells, dtype=torch.float32) / cells
    rates = torch.exp(torch.linspace(np.log(0.5), np.log(cells / 2), width // 4)) * np.pi
    line = torch.cat([torch.sin(place[:, None] * rates), torch.cos(place[:, None] * rates)], 1)  # (cells, width / 2)
    rows, columns = line[:, None].expand(-1, cells, -1), line[None].expand(cells, -1, -1)
    return torch.cat([rows, columns], 2).reshape(cells**2, width)
