"""Pictures and texts → unit rows: a model's card, a runtime, pixels and tokens put together.

Nothing is compiled until it is needed: a text query never reads the image tower. Knows neither collections nor terminals.
"""

import hashlib
import os
import shutil
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args, overload

import numpy as np

from glimpse import fingerprint, inputs, layouts, pixels, places, registry, runtimes, tokens, weights
from glimpse.ahead import ahead
from glimpse.atomic import replacing
from glimpse.errors import BadItem, UsageError
from glimpse.inputs import PictureLike
from glimpse.models import formats
from glimpse.models.formats import exported
from glimpse.runtimes import Run, Tower
from glimpse.values import Failure, Fidelity, Least, ModelCard, Pixels, Rows

BATCH = 64  # pictures decoded ahead of the tower, and texts of like length that run together
BATCH_ON_GPU = 256  # pictures, for each of several
DEFAULT_TEMPLATE = "a photo of a {}"


def load(
    model: str | os.PathLike[str],
    *,
    runtime: str = "auto",
    precision: str = "auto",
    device: str = "auto",
    devices: Literal["auto"] | Sequence[str] | None = None,
    mixed: bool = False,
    parity: bool = False,
    fidelity: Fidelity = "fast",
    progress: bool = False,
) -> "Encoder":
    """Load a model by name; its weights are fetched if they are not on disk.

    Args:
        model: "demo", an open_clip name such as "ViT-B-32-256/datacomp_s34b_b86k", "hf-hub:org/name", or a folder.
        runtime: a file of `glimpse.runtimes`: "openvino", "torch", "onnx", "numpy"; "auto" is torch where it finds a GPU,
            else openvino.
        precision: "float32", "bfloat16", "float16", "int8" (pictures only, see `Encoder.calibrate`), or "auto": the fastest
            float that the device computes natively.
        device: "cpu", "cuda:0", ..., or "auto": the first that the runtime has.
        devices: several devices that share the pictures, a process for each; "auto" is every GPU.
        mixed: let int8 vectors into collections of float ones, and the other way round.
        parity: treat pictures as the reference libraries do: no EXIF orientation, no transparency, no colour profiles.
        fidelity: "fast" decodes large JPEGs no larger than the model has use for (docs/pictures.md says what that changes);
            "exact" takes no such short cut, and neither does parity.
        progress: show the hub client's progress bar while fetching.

    Raises:
        ModelError: there is no such model, or it cannot be fetched, read, or is not supported; says which.
        UsageError: no such runtime, precision, device or fidelity.
    """
    checkpoint = weights.locate(model, progress=progress)
    read = formats.read(checkpoint.folder, checkpoint.name, checkpoint.config)
    return Encoder(
        read,
        runtime=runtime,
        precision=precision,
        device=device,
        devices=devices,
        mixed=mixed,
        parity=parity,
        fidelity=fidelity,
    )


class Encoder:
    """A loaded model. Make it with `glimpse.load`.

    Attributes:
        card: what the model is.
        runtime: the name of the runtime.
        precision: what was chosen where "auto" was asked for.
        devices: where pictures are computed; texts always on the first.
        mixed: whether its vectors may join those of another class of precision.
        parity: whether pictures are treated as the reference libraries do.
        fidelity: "fast" where large JPEGs are decoded no larger than need be, else "exact".
    """

    def __init__(
        self,
        model: formats.Model,
        *,
        runtime: str = "auto",
        precision: str = "auto",
        device: str = "auto",
        devices: Literal["auto"] | Sequence[str] | None = None,
        mixed: bool = False,
        parity: bool = False,
        fidelity: Fidelity = "fast",
    ) -> None:
        """Check the choices; reads no weights."""
        self.card: ModelCard = model.card
        best = "openvino" if precision == "int8" else runtimes.best(graphs=bool(model.graphs))
        self.runtime = best if runtime == "auto" else runtime
        self._adapter = registry.find("runtimes", self.runtime)
        if model.graphs and self.runtime not in runtimes.READ_GRAPHS:
            raise UsageError(f"{self.runtime} does not run ONNX files: choose {' or '.join(runtimes.READ_GRAPHS)}")
        self.devices = _devices(device, devices, self._adapter.devices(), self.runtime)
        self.precision = _precision(precision, self._adapter.precisions(self.devices[0]), self.runtime)
        self.parity = parity
        self.fidelity: Fidelity = "exact" if parity else _fidelity(fidelity)
        self.mixed = mixed
        self._model = model
        self._calibrated_by: str | None = None

    def __repr__(self) -> str:
        return f"<Encoder {self.card.name}: {self.dim} dimensions, {self.runtime} {self.precision}>"

    @property
    def dim(self) -> int:
        """Width of the vectors."""
        return self.card.dim

    @property
    def batch(self) -> int:
        """How many pictures it likes to be given at once."""
        return BATCH if self.devices == ("cpu",) else BATCH_ON_GPU * len(self.devices)

    @property
    def fingerprint(self) -> str:
        """Names weights, preprocessing, tokenizer and class of precision; vectors with the same may be compared.

        Of int8 it also names what it was calibrated by, after a +.
        """
        if self.precision != "int8":
            return self._of_floats
        if self._calibrated_by is None and self.calibrated:  # once: another process may calibrate anew
            self._calibrated_by = hashlib.sha256(self._calibration.read_bytes()).hexdigest()[:16]
        return f"{self._of_floats}+int8.{self._calibrated_by or ''}"

    @cached_property
    def _of_floats(self) -> str:
        return fingerprint.of_model(
            self.card,
            self._model.files,
            tokens.files_of(self._model.words, self.card.words),
            parity=self.parity,
            cache=places.cache_folder(),
        )

    @overload
    def images(
        self, pictures: Iterable[PictureLike], *, errors: Literal["raise"] = "raise", batch: int | None = None
    ) -> Rows: ...
    @overload
    def images(
        self, pictures: Iterable[PictureLike], *, errors: Literal["nan"], batch: int | None = None
    ) -> tuple[Rows, list[Failure]]: ...
    def images(
        self, pictures: Iterable[PictureLike], *, errors: Literal["raise", "nan"] = "raise", batch: int | None = None
    ) -> Rows | tuple[Rows, list[Failure]]:
        """Embed pictures.

        Args:
            pictures: paths, bytes of picture files, Pillow pictures, or uint8 arrays of shape (h, w), (h, w, 3) RGB or
                (h, w, 4) RGBA.
            errors: "raise" at the first bad picture, naming it; or "nan": its row is NaN, and the failures come back.
            batch: how many are embedded together while as many are decoded: what is in memory at a time. None: 64, and
                256 for every GPU.

        Returns:
            float32 (n, dim), each row of unit length, in the order given; with errors="nan" also the failures, whose
            keys are paths, or places such as "pictures[3]".

        Raises:
            BadItem: a picture cannot be read or decoded.
            UsageError: not a list of pictures.
        """
        if errors not in ("raise", "nan"):
            raise UsageError(f"errors is {errors!r}: choose 'raise' or 'nan'")
        together = self.batch if batch is None else batch
        if together < 1:
            raise UsageError(f"batch is {batch}: give a number from 1")
        named = enumerate(inputs.pictures(pictures))
        blocks: list[Rows] = []
        failures: list[Failure] = []
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for prepared in ahead(pool, lambda pair: self._prepared(*pair), named, lambda: together):
                bad = [result for result in prepared if isinstance(result, BadItem)]
                if bad and errors == "raise":
                    raise bad[0]
                failures += [Failure(error.key, error.code, error.message) for error in bad]
                blocks.append(self._embed_good(prepared))
        rows = np.concatenate([np.empty((0, self.dim), np.float32), *blocks])
        return rows if errors == "raise" else (rows, failures)

    def _prepared(self, place: int, picture: PictureLike) -> Pixels | BadItem:
        try:
            return self.prepare(picture)
        except BadItem as error:
            return BadItem(error.code, error.message, inputs.name_of(picture) or f"pictures[{place}]")

    def _embed_good(self, prepared: Sequence[Pixels | BadItem]) -> Rows:
        rows = np.full((len(prepared), self.dim), np.nan, np.float32)
        good = [place for place, result in enumerate(prepared) if not isinstance(result, BadItem)]
        ready = [result for result in prepared if not isinstance(result, BadItem)]
        if good:
            rows[good] = self.embed(np.stack(ready))
        return rows

    def prepare(self, picture: PictureLike) -> Pixels:
        """Make one picture ready for the image tower: uint8 (size, size, 3).

        Raises:
            BadItem: it cannot be read or decoded.
            UsageError: it is no picture at all.
        """
        decoded, shown = inputs.opened(picture, self._least)
        return pixels.prepare(decoded, self.card.pixels, parity=self.parity, shown=shown)

    @cached_property
    def _least(self) -> Least | None:
        return pixels.least(self.card.pixels) if self.fidelity == "fast" else None

    def embed(self, prepared: Pixels) -> Rows:
        """Embed what `prepare` gave: uint8 (n, size, size, 3) → float32 (n, dim) unit rows."""
        return self._image_tower(prepared)

    def texts(self, texts: Iterable[str]) -> Rows:
        """Embed texts.

        Returns:
            float32 (n, dim), each row of unit length. An empty text is embedded as the reference does: start and end
            alone.

        Raises:
            UsageError: not a list of texts.

        Warns:
            TruncationWarning: a text is too long for the model; names it.
        """
        asked = inputs.texts(texts)
        tokenizer, tower = self._text_side
        rows = np.empty((len(asked), self.dim), np.float32)
        for which, ids in tokenizer.batches(tokenizer.encode(asked), BATCH):
            rows[which] = tower(ids)
        return rows

    def classify(
        self,
        pictures: Iterable[PictureLike],
        labels: Sequence[str],
        *,
        template: str | Sequence[str] = DEFAULT_TEMPLATE,
    ) -> Rows:
        """Say how likely each label is for each picture (zero-shot, Radford et al. 2021, §3.1).

        Args:
            pictures: as for `images`.
            labels: the choices.
            template: the sentence a label is put into, at "{}"; several are averaged.

        Returns:
            float32 (n, labels): the softmax of cosines times the checkpoint's own logit scale, rows adding up to 1; of
            SigLIP, which was trained so, the sigmoid of that and its bias: each label by itself, whatever the others.
        """
        return self.rank(self.images(pictures), labels, template=template)

    def rank(self, rows: Rows, labels: Sequence[str], *, template: str | Sequence[str] = DEFAULT_TEMPLATE) -> Rows:
        """`classify` for pictures that are embedded already: rows float32 (n, dim) → (n, labels)."""
        choices = inputs.texts(labels)
        if not choices:
            raise UsageError("there are no labels: give at least one")
        if len(set(choices)) < len(choices):
            raise UsageError("a label is there twice: name each once")
        names = np.stack([self.texts(inputs.filled(one, choices)) for one in inputs.templates(template)]).mean(0)
        names /= np.linalg.norm(names, axis=1, keepdims=True)
        logits = self.card.logit_scale * (rows @ names.T)  # (n, labels)
        if self.card.logit_bias is not None:
            return np.asarray(np.exp(-np.logaddexp(0, -(logits + self.card.logit_bias))), np.float32)  # the sigmoid
        chances = np.exp(logits - logits.max(1, keepdims=True))
        return np.asarray(chances / chances.sum(1, keepdims=True), np.float32)

    @cached_property
    def _text_side(self) -> tuple[tokens.Tokens, Run]:
        """Tokenizer and tower, made ready side by side: a query from a cold process waits for both."""
        with ThreadPoolExecutor(1) as pool:
            tower = pool.submit(self._compile, "text")
            return tokens.load(self._model.words, self.card.context, self.card.words), tower.result()

    @cached_property
    def _image_tower(self) -> Run:
        return self._compile("image")

    def calibrate(self, pictures: Iterable[PictureLike]) -> None:
        """Show int8 some of the pictures that it will embed (some dozens): once for a model, and kept in the data folder.

        Vectors of another calibration are of another class: they do not join those of before.

        Raises:
            BadItem: a picture cannot be read or decoded.
            UsageError: the runtime has no int8, or there are no pictures.
        """
        self.calibrate_prepared(
            np.stack([self.prepare(one) for one in inputs.pictures(pictures)] or [np.empty(0, np.uint8)])
        )

    def calibrate_prepared(self, prepared: Pixels) -> None:
        """`calibrate` with what `prepare` gave: uint8 (n, size, size, 3)."""
        if not prepared.size:
            raise UsageError("there are no pictures to calibrate with: give some")
        size = self.card.pixels.size
        if prepared.dtype != np.uint8 or prepared.shape[1:] != (size, size, 3):
            raise UsageError(
                f"{prepared.dtype} {prepared.shape} is not what Encoder.prepare gives: uint8 (n, {size}, {size}, 3)"
            )
        if "int8" not in self._adapter.precisions(self.devices[0]):
            raise UsageError(f"{self.runtime} has no int8: choose openvino")
        self.__dict__.pop("_image_tower", None)  # made of what an earlier calibration found
        found = self._adapter.calibrate(self._tower("image"), prepared)
        self._calibration.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self._calibration) as part, part.open("wb") as file:
            np.savez(file, **found)
        self._calibrated_by = None

    @property
    def calibrated(self) -> bool:
        """Whether int8 has been shown pictures, by this or an earlier process."""
        return self._calibration.is_file()

    @cached_property
    def _calibration(self) -> Path:
        return places.calibrations() / f"{self._of_floats[:24]}.npz"

    def export(self, folder: str | os.PathLike[str], *, precision: Literal["float32", "float16"] = "float32") -> Path:
        """Write both towers as ONNX files, with tokenizer and preprocessing: a folder that `load` takes as a model.

        The towers take uint8 (n, size, size, 3) and int64 (n, tokens), any n, and give float32 (n, dim) unit rows.

        Args:
            folder: made if it is not there.
            precision: of the weights and of what is computed with them.

        Raises:
            MissingExtra: onnx is not installed.
            UsageError: the folder has something in it, or the model is such a folder itself.
        """
        if not os.fspath(folder):
            raise UsageError("no folder is named: say where to export to")
        target = Path(os.path.abspath(os.path.expanduser(folder)))  # noqa: PTH100, PTH111 - Path's raise, or follow links
        if self._model.graphs:
            raise UsageError(f"{self.card.name} is an exported model already: copy its folder")
        onnx = registry.find("runtimes", "onnx")
        part = target.with_name(f".{target.name}.part")
        try:
            if target.exists() and (not target.is_dir() or any(target.iterdir())):
                raise UsageError(f"{target} is there already: name a new folder")
            for kind, path in layouts.GRAPHS.items():
                (part / path).parent.mkdir(parents=True, exist_ok=True)
                onnx.export_tower(self._tower(kind), part / path, precision)
            exported.write_card(self.card, part)
            tokens.save(self._model.words, part / exported.WORDS)
            part.replace(target)  # whole, or not at all
        except OSError as error:
            raise UsageError(f"{target} cannot be written ({error.strerror}): name another folder") from error
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return target

    def _compile(self, kind: Literal["image", "text"]) -> Run:
        precision = self.precision
        if kind == "text" and precision == "int8":  # one text at a time gains nothing, and queries should be exact
            precision = self._adapter.precisions(self.devices[0])[0]
        run: Run = self._adapter.compile_tower(self._tower(kind), precision)
        return run

    def _tower(self, kind: Literal["image", "text"]) -> Tower:
        graph = self._model.graphs.get(kind)
        function: Any = None if graph else getattr(registry.find("models", self.card.family), f"{kind}_tower")
        return Tower(
            kind=kind,
            function=function,
            card=self.card,
            weights=lambda: self._model.weights(kind),
            fingerprint=self._of_floats,
            cache=places.cache_folder() / "towers",
            devices=self.devices if kind == "image" else self.devices[:1],
            graph=graph,
            calibration=self._calibration,
        )


def _devices(
    asked: str, several: Literal["auto"] | Sequence[str] | None, offered: Sequence[str], runtime: str
) -> tuple[str, ...]:
    if several == "auto":
        return tuple(name for name in offered if name != "cpu") or tuple(offered[:1])
    one = {"auto": offered[0], "cuda": "cuda:0"}.get(asked, asked)
    chosen = (one,) if several is None else (several,) if isinstance(several, str) else tuple(several)
    unknown = [name for name in chosen if name not in offered]
    if unknown or not chosen:
        named = repr(unknown[0]) if unknown else "none"
        raise UsageError(f"device {named} is not to be had from {runtime} here: choose {' or '.join(offered)}")
    return chosen


def _precision(asked: str, offered: Sequence[str], runtime: str) -> str:
    if asked == "auto":
        return offered[0]
    if asked not in offered:
        raise UsageError(f"precision {asked!r} is not to be had from {runtime} here: choose {' or '.join(offered)}")
    return asked


def _fidelity(asked: Fidelity) -> Fidelity:
    if asked not in get_args(Fidelity):
        raise UsageError(f"fidelity is {asked!r}: choose 'fast' or 'exact'")
    return asked
