"""The training loop: contrastive loss, plus heads that teach both towers who stands where.

The heads are thrown away afterwards. They are linear and *shared*: the same matrix reads 'what is
on top' from a picture's embedding and from a sentence's, so both must write it in the same place.
In a trial without them relations stayed at chance: a bag of words explains nearly all captions.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional as F  # noqa: N812  torch's own short name

from . import checkpoint, vocabulary
from .batches import ROLES, Mix, batches
from .checkpoint import MEAN, STD
from .network import CLIP, Shape
from .scenes import GROUNDS
from .things import THINGS


@dataclass(frozen=True, slots=True)
class Phase:
    """Some steps on one mix of scenes, with the weights of the losses."""

    name: str
    steps: int
    mix: Mix
    contrast: float = 1.0
    order: float = 1.0
    roles: float = 0.5
    things: float = 0.5
    patches: float = 0.5


@dataclass(frozen=True, slots=True)
class Stage:
    """Phases that share heads, optimizer and one curve of the learning rate.

    The rate stays at its `peak` while only texts are read, then falls along a cosine that would
    end after `horizon` steps with pictures; both begin with a warm-up.
    """

    phases: tuple[Phase, ...]
    horizon: int
    peak: float = 2e-3
    warm_up: int = 200

    def rate(self, number: int, step: int) -> float:
        """The learning rate at this step of this phase."""
        seeing = self.phases[number].mix.pictures
        done = step + sum(phase.steps for phase in self.phases[:number] if phase.mix.pictures == seeing)
        fall = (1 + math.cos(math.pi * done / self.horizon)) / 2 if seeing else 1.0
        return self.peak * min((done + 1) / self.warm_up, 0.01 + 0.99 * fall)


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole training. Each stage but the first goes on from the folder the one before it left."""

    shape: Shape
    stages: tuple[Stage, ...]
    folder: Path
    seed: int = 0
    workers: int = 2


class Heads(nn.Module):
    """What is read, in training only, from embeddings (`roles`, `things`) and patches."""

    def __init__(self, projection: int, width: int) -> None:
        super().__init__()
        self.patches = nn.Linear(width, len(THINGS) + len(GROUNDS))
        self.norm = nn.LayerNorm(width)
        self.things = nn.Linear(projection, len(THINGS))
        self.roles = nn.ModuleDict({name: nn.Linear(projection, classes) for name, classes in ROLES.items()})

    def patch_loss(self, states: Tensor, patches: Tensor) -> Tensor:
        return F.cross_entropy(self.patches(self.norm(states)).float().flatten(0, 1), patches.flatten())

    def role_losses(self, embeddings: Tensor, roles: Tensor, things: Tensor) -> dict[str, Tensor]:
        grown = embeddings * embeddings.shape[1] ** 0.5  # unit rows are too small to start from
        losses = {name: _known(head(grown), roles[:, i]) for i, (name, head) in enumerate(self.roles.items())}
        said = things.sum(1) > 0
        share = things[said] / things[said].sum(1, keepdim=True)
        return losses | {"things": F.cross_entropy(self.things(grown[said]), share)}


def _known(logits: Tensor, target: Tensor) -> Tensor:
    """Cross entropy over the rows whose target is known, averaged over all rows."""
    return F.cross_entropy(logits, target, reduction="sum") / len(target)


def contrastive(scores: Tensor, true: Tensor) -> Tensor:
    """Symmetric, with every other true caption left out of the negatives. `scores` is (scene, caption)."""
    right = torch.eye(len(scores), dtype=torch.bool)
    masked = scores.masked_fill(true & ~right, float("-inf"))
    target = torch.arange(len(scores))
    return (F.cross_entropy(masked, target) + F.cross_entropy(masked.T, target)) / 2


def ordered(scores: Tensor, true: Tensor, quads: int) -> Tensor:
    """Within each family of four pairs only: which caption goes with which scene."""
    if not quads:
        return scores.new_zeros(())
    near = torch.arange(4 * quads).view(quads, 4)
    rows, columns = near[:, :, None], near[:, None, :]
    right = torch.eye(4, dtype=torch.bool)
    masked = scores[rows, columns].masked_fill(true[rows, columns] & ~right, float("-inf"))  # (quads, 4, 4)
    down, across = (masked.log_softmax(axis).diagonal(dim1=1, dim2=2) for axis in (1, 2))
    return -(down.mean() + across.mean()) / 2


def normalized(pixels: Tensor) -> Tensor:
    """(n, side, side, 3) uint8 → (n, 3, side, side) float."""
    return pixels.permute(0, 3, 1, 2).contiguous().float().sub_(255 * MEAN).mul_(1 / (255 * STD))


def losses(model: CLIP, heads: Heads, batch: dict[str, Tensor], phase: Phase) -> dict[str, Tensor]:
    """Every term, weighted; their sum is what is minimized."""
    with torch.autocast("cpu", torch.bfloat16):
        texts = model.read(batch["ids"])
    read = heads.role_losses(texts, batch["text_roles"], batch["text_things"])
    terms = {f"read {name}": loss * (phase.things if name == "things" else phase.roles) for name, loss in read.items()}
    if not phase.mix.pictures:
        return terms
    with torch.autocast("cpu", torch.bfloat16):
        images, states = model.look(normalized(batch["pixels"]))
        patch = heads.patch_loss(states, batch["patches"])
    seen = heads.role_losses(images, batch["image_roles"], batch["image_things"])
    scores = model.logit_scale.exp().clamp(max=100) * images @ texts.T
    return {
        "contrast": phase.contrast * contrastive(scores, batch["true"]),
        "order": phase.order * ordered(scores, batch["true"], phase.mix.quads),
        "patch": phase.patches * patch,
        **{f"seen {name}": loss * (phase.things if name == "things" else phase.roles) for name, loss in seen.items()},
        **terms,
    }


def train(plan: Plan, first: int = 0, report: Callable[[str], None] = print) -> None:
    """Run the plan's stages, from `first`, in `plan.workers` processes that average their gradients.

    Two processes of one thread each are quicker than one with two threads, and do not stall when
    a core is busy.
    """
    for number in range(first, len(plan.stages)):
        with TemporaryDirectory() as folder:
            torch.multiprocessing.spawn(_work, (plan, number, f"file://{folder}/meet", report), nprocs=plan.workers)


def _work(rank: int, plan: Plan, number: int, meeting: str, report: Callable[[str], None]) -> None:
    """One process's share of one stage."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=plan.workers)
    torch.manual_seed(plan.seed + number)
    tokenizer, model = vocabulary.build(), CLIP(plan.shape)
    heads = Heads(plan.shape.projection, plan.shape.vision_width)
    if number:
        checkpoint.load(model, plan.folder)
    distributed.barrier()
    optimizer = torch.optim.AdamW(_groups(model, heads), betas=(0.9, 0.98), fused=True)
    stage, start = plan.stages[number], time.monotonic()
    for place, phase in enumerate(stage.phases):
        stream = batches(tokenizer, phase.mix, 10_000 * plan.seed + 1_000 * number + 100 * place + rank)
        for step in range(phase.steps):
            for group in optimizer.param_groups:
                group["lr"] = stage.rate(place, step)
            terms = _step(model, heads, optimizer, next(stream), phase)
            if rank == 0 and (step + 1) % 50 == 0:
                shown = " ".join(f"{name} {term.item():.2f}" for name, term in terms.items())
                report(f"{phase.name} {step + 1}/{phase.steps} {time.monotonic() - start:.0f}s {shown}")
        if rank == 0 and phase.mix.pictures:
            checkpoint.save(model, tokenizer, plan.folder)
    distributed.destroy_process_group()


def _step(
    model: CLIP, heads: Heads, optimizer: torch.optim.Optimizer, batch: dict[str, Tensor], phase: Phase
) -> dict[str, Tensor]:
    optimizer.zero_grad()
    terms = losses(model, heads, batch, phase)
    torch.stack(list(terms.values())).sum().backward()
    learning = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    flat = torch.cat([p.grad.flatten() for p in learning])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()
    flat *= (1.0 / flat.norm()).clamp(max=1.0)  # gradients longer than one are cut to one
    for p, part in zip(learning, flat.split([p.numel() for p in learning]), strict=True):
        p.grad.copy_(part.view_as(p))
    optimizer.step()
    return terms


def _groups(model: CLIP, heads: Heads) -> list[dict[str, object]]:
    """Matrices decay; vectors, embeddings of places and the logit scale do not."""
    named = [*model.named_parameters(), *heads.named_parameters()]
    decays = [p for name, p in named if p.ndim > 1 and "embedding" not in name]
    stays = [p for name, p in named if not (p.ndim > 1 and "embedding" not in name)]
    return [{"params": decays, "weight_decay": 0.05}, {"params": stays, "weight_decay": 0.0}]
