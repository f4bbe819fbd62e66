"""The recipe: how long each phase of the training lasts and what it is fed.

First the text tower alone learns who is on top in a sentence: relations said one way only, then
both ways round (starting with both, it takes several times as long to tell 'A over B' from
'A under B'). Then both towers learn together; a second
stage, with fresh heads, goes on from the first one's checkpoint and lets the learning rate fall to nothing.
"""

from dataclasses import replace
from pathlib import Path

from .batches import Mix
from .network import Shape
from .train import Phase, Plan, Stage
from .vocabulary import SIZE

HALF = 96  # scenes of a batch in each of the two processes
READ = Mix(HALF, quads=16, pictures=False)
SEE = Mix(HALF, quads=9)
KNOW = Mix(HALF, quads=6, kinds=("single", "single", "single", "single", "count", "three", "vertical", "horizontal"))
STAGES = (
    Stage(
        (
            Phase("words", 400, replace(READ, turned=False), roles=1.0, things=1.0),
            Phase("words both ways", 1000, READ, roles=1.0, things=1.0),
            Phase("what is where", 1300, SEE, roles=0.7, things=0.7, patches=1.0),
        ),
        horizon=5000,
    ),
    Stage(
        (
            Phase("together", 1300, KNOW, roles=0.4, things=1.0, patches=0.5),
            Phase("to the end", 1300, KNOW, roles=0.25, things=1.0, patches=0.3),
        ),
        horizon=2600,
        peak=1.7e-3,
    ),
)


def plan(folder: Path, part: float = 1.0) -> Plan:
    """The whole training, or `part` of its steps."""
    return Plan(Shape(SIZE), tuple(_shortened(stage, part) for stage in STAGES), folder)


def _shortened(stage: Stage, part: float) -> Stage:
    phases = tuple(replace(phase, steps=max(1, round(phase.steps * part))) for phase in stage.phases)
    return replace(stage, phases=phases, horizon=max(1, round(stage.horizon * part)))
