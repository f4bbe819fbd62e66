"""What workers are told to make of pictures, on its way to them as JSON."""

import json
from dataclasses import asdict, dataclass

from glimpse.values import Fidelity, PixelRules, Sampling
from glimpse.workers.limits import Limits


@dataclass(frozen=True, slots=True)
class Recipe:
    """What workers make of pictures.

    Attributes:
        size: side of the squares of shared memory that a picture is put into.
        rules: how pixels become the model's; None: thumbnails, which fit into the square and keep their shape.
        parity: see `pixels.prepare`.
        fidelity: "fast" where pictures may be decoded smaller than they are; thumbnails always may.
        sampling: which frames of films are wanted.
        min_side: pictures with a shorter side are "too-small".
        slots: how many squares a worker has.
    """

    size: int
    rules: PixelRules | None
    parity: bool = False
    fidelity: Fidelity = "exact"
    sampling: Sampling = Sampling()  # noqa: RUF009  (frozen)
    min_side: int = 1
    slots: int = 8
    limits: Limits = Limits()  # noqa: RUF009  (frozen)

    def as_json(self) -> bytes:
        """For the way to a worker."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, text: bytes) -> "Recipe":
        """What a worker was told."""
        values = json.loads(text)
        kinds = {"rules": PixelRules, "sampling": Sampling, "limits": Limits}
        return cls(
            **{name: kinds[name](**value) if name in kinds and value else value for name, value in values.items()}
        )

    @property
    def slot_bytes(self) -> int:
        """Bytes of one square."""
        return self.size * self.size * 3
