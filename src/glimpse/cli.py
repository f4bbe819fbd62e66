"""The command line: every command parses, calls the library, prints. Nothing is computed here.

Results go to standard output, progress and complaints to standard error. Exit codes: 0, 1 for failed items, 2 for wrong use,
130 after Ctrl-C. Heavy libraries are imported by the commands that need them, so that `--help` is quick.
"""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from glimpse import __version__
from glimpse.errors import BadItem, GlimpseError, UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

    from glimpse.collection import Collection
    from glimpse.encoder import Encoder
    from glimpse.store import Generation
    from glimpse.values import Failure, Fidelity, Hit, Report, Sampling

SHOWN_FAILURES = 20  # of a run; the ledger has them all
FAILED_ITEMS, WRONG_USE, DEFECT, INTERRUPTED = 1, 2, 70, 130

Command = Callable[..., Any]


def main() -> None:
    """Run the command line, turning every error into a sentence."""
    for stream in (sys.stdout, sys.stderr):  # a name that the terminal's encoding lacks is no reason to fail
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command and say with which code the process should exit."""
    try:
        code = cli.main(args=list(arguments), prog_name="glimpse", standalone_mode=False)
        if sys.stdout:
            sys.stdout.flush()
    except SystemExit:  # click's way with a closed pipe (`glimpse … | head`)
        return 0
    except click.ClickException as error:
        error.show()
        return WRONG_USE
    except BadItem as error:
        return _complain(error, FAILED_ITEMS)
    except GlimpseError as error:
        return _complain(error, WRONG_USE)
    except (KeyboardInterrupt, click.Abort):
        return _complain("stopped", INTERRUPTED)
    except OSError as error:
        return _complain(
            f"{error.strerror or error}: the output cannot be written, or a file not be reached", WRONG_USE
        )
    except Exception as error:
        if "GLIMPSE_TRACEBACK" in os.environ:
            raise
        sentence = (
            f"this is a defect in glimpse ({type(error).__name__}): please report it, with GLIMPSE_TRACEBACK=1 set"
        )
        return _complain(sentence, DEFECT)
    return code if isinstance(code, int) else 0


def _complain(error: object, code: int) -> int:
    from glimpse import terminal  # noqa: PLC0415

    terminal.say(f"glimpse: {error}")
    return code


# Options that several commands share ----------------------------------------------------------------------------------

_collection = click.option(
    "--collection",
    "-c",
    type=click.Path(path_type=Path),
    help="The collection file. Default: photos.db in the data folder.",
)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
_parity = click.option(
    "--parity",
    is_flag=True,
    help="Treat pictures as open_clip and AutoGluon do: no EXIF turn, alpha or colour profiles.",
)
_model_help = 'A name from `glimpse models`, "hf-hub:org/name", or a checkpoint folder.'


def _model(default: str | None) -> Callable[[Command], Command]:
    return click.option("--model", "-m", default=default, show_default=default is not None, help=_model_help)


@dataclass(frozen=True, slots=True)
class Engine:
    """What computes, and in which precision: what `_engine` makes of its options."""

    runtime: str
    precision: str
    device: str
    fidelity: "Fidelity" = "fast"

    def load(self, model: str, *, parity: bool, precision: str = "auto", mixed: bool = False) -> "Encoder":
        """Load a model to be computed so; `precision` counts where the person left the choice to us."""
        from glimpse.encoder import load  # noqa: PLC0415

        return load(
            model,
            runtime=self.runtime,
            precision=precision if self.precision == "auto" else self.precision,
            mixed=mixed,
            device="auto" if self.device == "all" else self.device,
            devices="auto" if self.device == "all" else None,
            parity=parity,
            fidelity=self.fidelity,
            progress=bool(sys.stderr and sys.stderr.isatty()),
        )


def _engine(command: Command) -> Command:
    """Give a command --runtime, --precision, --device and --fidelity, as one `engine`."""

    @click.option("--runtime", default="auto", show_default=True, help="openvino, torch, onnx, or numpy (slow, exact).")
    @click.option(
        "--precision",
        default="auto",
        show_default=True,
        help="float32, bfloat16, float16, int8 (see glimpse verify), or auto: the fastest float that is native here.",
    )
    @click.option(
        "--device", default="auto", show_default=True, help="cpu, cuda:0, ..., or all: a process for every GPU."
    )
    @click.option(
        "--fidelity",
        default="fast",
        show_default=True,
        type=click.Choice(["fast", "exact"]),
        help="fast: large JPEGs are decoded no larger than need be; exact: in full.",
    )
    @wraps(command)
    def with_engine(
        *arguments: Any, runtime: str, precision: str, device: str, fidelity: "Fidelity", **options: Any
    ) -> Any:
        return command(*arguments, engine=Engine(runtime, precision, device, fidelity), **options)

    return with_engine


def _open(path: Path | None, model: Any = None, *, create: bool = False) -> "Collection":
    from glimpse.collection import Collection  # noqa: PLC0415
    from glimpse.places import default_collection  # noqa: PLC0415

    return Collection(path or default_collection(), model, create=create)


def _made_by(path: Path | None) -> "Generation | None":
    """Which model made a collection; None where there is none yet. Makes nothing, so that a mistake leaves nothing."""
    from glimpse.places import default_collection  # noqa: PLC0415

    if not os.path.exists(os.path.expanduser(path or default_collection())):  # noqa: PTH110, PTH111  (Path's raise)
        return None
    with _open(path) as photos:
        return photos.generation


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="glimpse")
def cli() -> None:
    """Find pictures by words.

    \b
    glimpse demo                   try it, offline
    glimpse index ~/Pictures       embed what is in a folder
    glimpse search "a carriage"    find it
    """
    import warnings  # noqa: PLC0415

    warnings.filterwarnings("ignore", module=r"PIL\.")  # odd metadata in a file is no news to the person
    warnings.showwarning = _show_warning


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    from glimpse import terminal  # noqa: PLC0415

    terminal.say(f"glimpse: {message}")


# Commands -------------------------------------------------------------------------------------------------------------


@cli.command()
@click.argument("places", nargs=-1, required=True)
@_collection
@_model(None)
@_engine
@_parity
@click.option(
    "--include", multiple=True, metavar="PATTERN", help="Only files that match, as in .gitignore; several times."
)
@click.option(
    "--exclude", multiple=True, metavar="PATTERN", help="Leave out what matches, as in .gitignore; several times."
)
@click.option("--hidden", is_flag=True, help="Also files and folders whose names begin with a dot.")
@click.option("--column", help="Of tables: the column with paths, URLs or bytes.")
@click.option("--key-column", help="Of tables with bytes: the column with their names.")
@click.option("--sampling", help="Frames of films: shots, keyframes, or one every so many seconds.  [default: shots]")
@click.option("--min-side", default=1, type=click.IntRange(1), help="Refuse pictures with a shorter side, in pixels.")
@click.option("--mix-int8", is_flag=True, help="Let int8 vectors join float ones in a collection.")
@click.option("--watch", is_flag=True, help="Stay, and keep the collection current when files change.")
@click.option("--retry-failed", is_flag=True, help="Try again what failed before, though the files have not changed.")
@_json
def index(
    places: tuple[str, ...],
    collection: Path | None,
    model: str | None,
    engine: Engine,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    column: str | None,
    key_column: str | None,
    sampling: str | None,
    min_side: int,
    *,
    parity: bool,
    hidden: bool,
    mix_int8: bool,
    watch: bool,
    retry_failed: bool,
    as_json: bool,
) -> int:
    """Put pictures and films into a collection.

    PLACES are files, folders, globs, tar archives, tables (parquet, csv, jsonl), URLs (s3://, gs://, https://), or - for
    a list on standard input. What has not changed since the last time is not read again; files that moved or went away
    are noticed. Without --model a new collection uses ViT-B-32-256/datacomp_s34b_b86k, and an old one the model that
    made it. Ctrl-C stops after the batch at hand; what was done is kept.
    """
    from glimpse import terminal, watching  # noqa: PLC0415
    from glimpse.collection import DEFAULT_MODEL  # noqa: PLC0415
    from glimpse.pipeline import check  # noqa: PLC0415
    from glimpse.values import Selection  # noqa: PLC0415

    selection = Selection(include, exclude, hidden, column, key_column)
    frames = _sampling(sampling)
    check(places, selection)  # before a model is fetched
    if watch:
        watching.check(places)
    made_by = _made_by(collection)
    name = model or (made_by.model if made_by else DEFAULT_MODEL)
    encoder = engine.load(
        name,
        parity=parity or bool(made_by and made_by.parity),
        precision="int8" if made_by and made_by.precision == "int8" else "auto",
        mixed=mix_int8,
    )
    with _open(collection, encoder, create=True) as photos:
        options: dict[str, Any] = {
            "selection": selection,
            "sampling": frames,
            "min_side": min_side,
            "retry_failed": retry_failed,
        }
        with _stopping() as stopped:
            with terminal.progress("indexing", quiet=as_json) as progress:
                report = photos.index(*places, progress=progress, stop=stopped, **options)
            _show_report(report, photos, as_json=as_json, one_of_many=watch)
            if watch and not report.interrupted:
                terminal.say("watching for changes; Ctrl-C ends it")
                for change in photos.watch(*places, stop=stopped, **options):
                    _show_report(change, photos, as_json=as_json, one_of_many=True)
    return INTERRUPTED if report.interrupted else FAILED_ITEMS if report.failures else 0


def _sampling(asked: str | None) -> "Sampling | None":
    """What --sampling says."""
    from glimpse.values import Sampling  # noqa: PLC0415

    if asked is None:
        return None
    if asked == "shots":
        return Sampling()
    if asked == "keyframes":
        return Sampling("keyframes")
    try:
        seconds = float(asked)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise UsageError(f"--sampling is {asked!r}: choose shots, keyframes, or a number of seconds")
    return Sampling("every", seconds)


def _show_report(report: "Report", photos: "Collection", *, as_json: bool, one_of_many: bool) -> None:
    from dataclasses import asdict  # noqa: PLC0415

    from glimpse import terminal  # noqa: PLC0415

    if as_json:
        terminal.show_json(asdict(report), line=one_of_many)
        return
    _show_failures(report.failures, SHOWN_FAILURES)
    if report.frames:
        terminal.say(report.profile())
    terminal.say(f"{report}; {_counted(photos)} in {photos.path}")


def _counted(photos: "Collection") -> str:
    counts = photos.counts()
    films = f" and {counts['frames']} frames of {counts['films']} films" if counts["films"] else ""
    return f"{counts['pictures']} pictures{films}"


class _stopping:  # noqa: N801  (used like a function)
    """Make Ctrl-C and SIGTERM a question that the run asks between batches; a second Ctrl-C stops at once."""

    def __enter__(self) -> Callable[[], bool]:
        import signal  # noqa: PLC0415

        self._asked = False
        self._before = {one: signal.signal(one, self._ask) for one in (signal.SIGINT, signal.SIGTERM)}
        return lambda: self._asked

    def _ask(self, *_: Any) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True

    def __exit__(self, *_: object) -> None:
        import signal  # noqa: PLC0415

        for one, before in self._before.items():
            signal.signal(one, before)


def _show_failures(failures: Sequence["Failure"], most: int | None = None) -> None:
    from glimpse import terminal  # noqa: PLC0415

    for failure in failures[:most]:
        terminal.say(f"failed: {failure.key}: {failure.message} ({failure.code})")
    if most and len(failures) > most:
        terminal.say(f"… and {len(failures) - most} more: `glimpse errors` names them all")


@cli.command()
@click.argument("text", required=False)
@click.option("--image", type=click.Path(path_type=Path), help="Search by a picture file instead of a text.")
@click.option("--key", help="Search by an item of the collection: more like this.")
@click.option("-k", "count", default=10, show_default=True, type=click.IntRange(1), help="How many at most.")
@click.option("--frames", is_flag=True, help="Find frames rather than films: several of one film.")
@click.option("--moments", is_flag=True, help="Show which parts of films answer.")
@click.option(
    "--in", "prefix", default="", metavar="FOLDER", help="Only what is in a folder, or has a key that begins so."
)
@click.option("--kind", type=click.Choice(["picture", "film"]), help="Only pictures, or only films.")
@click.option("--after", metavar="DATE", help="Only files changed on this day or later, such as 2026-11-23.")
@click.option("--before", metavar="DATE", help="Only files changed before this day.")
@click.option(
    "--where", "facts", multiple=True, metavar="NAME=VALUE", help="Only what its table says so of; several times."
)
@_collection
@_model(None)
@_json
def search(
    text: str | None,
    image: Path | None,
    key: str | None,
    count: int,
    prefix: str,
    kind: Literal["picture", "film"] | None,
    after: str | None,
    before: str | None,
    facts: tuple[str, ...],
    collection: Path | None,
    model: str | None,
    *,
    frames: bool,
    moments: bool,
    as_json: bool,
) -> None:
    """Find pictures and films by a text, a picture or a key.

    Best first, with their cosines, and for films the time of the best frame. Without --model, the model that made the
    collection is used.
    """
    if sum(query is not None for query in (text, image, key)) != 1:
        raise UsageError("say what to look for: a text, --image FILE or --key KEY, and only one of them")
    from glimpse.values import Filter  # noqa: PLC0415

    among = Filter(_prefix(prefix), kind or "", _moment("--after", after), _moment("--before", before), _facts(facts))
    options: dict[str, Any] = {"k": count, "among": among, "frames": frames, "moments": moments}
    with _open(collection, model) as photos:
        if photos.generation is None:
            raise UsageError(f"{photos.path} is empty: `glimpse index FOLDER` fills it")
        if key is not None:
            hits = photos.search(key=_full(key, photos), **options)
        else:
            hits = photos.search(text if text is not None else image, **options)
    _show_hits(hits, as_json=as_json)


def _prefix(asked: str) -> str:
    """What keys begin with: a folder of this machine may be named from where one stands."""
    from glimpse.sources.folder import key_of  # noqa: PLC0415

    if os.path.isdir(asked):  # noqa: PTH112  (Path's raises on some names)
        return os.path.join(key_of(os.path.abspath(asked)), "")  # noqa: PTH100, PTH118  (a key is text)
    return asked


def _moment(option: str, asked: str | None) -> float | None:
    """A day, or a moment, in seconds since 1970."""
    from datetime import datetime  # noqa: PLC0415

    if asked is None:
        return None
    try:
        return datetime.fromisoformat(asked).timestamp()  # of a day, its first moment here
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(f"{option} is {asked!r}: give a day, such as 2026-11-23") from error


def _facts(asked: Sequence[str]) -> dict[str, str]:
    """What --where says."""
    pairs = [one.partition("=") for one in asked]
    strange = [one for one, (name, sign, _) in zip(asked, pairs, strict=True) if not (name and sign)]
    if strange:
        raise UsageError(f"--where is {strange[0]!r}: give NAME=VALUE")
    return {name: value for name, _, value in pairs}


def _full(key: str, photos: "Collection") -> str:
    """A key as it is stored: a file may be named from where one stands."""
    from glimpse.sources.folder import key_of  # noqa: PLC0415

    absolute = key_of(os.path.abspath(key))  # noqa: PTH100  (resolve() would follow links)
    return absolute if absolute in photos else key


def _show_hits(hits: Sequence["Hit"], *, as_json: bool) -> None:
    from glimpse import terminal  # noqa: PLC0415

    if as_json:
        terminal.show_json([_hit_facts(hit) for hit in hits])
        return
    if not hits:
        terminal.say("nothing was found: the filters let nothing through, or there is nothing else")
        return
    rows = [[f"{hit.score:.4f}", hit.item, _clock(hit.time)] for hit in hits]
    parts = [", ".join(f"{_clock(part.start)}–{_clock(part.end)}" for part in hit.moments) for hit in hits]
    headings = ["score", "picture", *(["time"] if any(hit.time is not None for hit in hits) else [])]
    shown = [[*row[: len(headings)], *([part] if any(parts) else [])] for row, part in zip(rows, parts, strict=True)]
    terminal.show_table([*headings, *(["moments"] if any(parts) else [])], shown)


def _hit_facts(hit: "Hit") -> dict[str, Any]:
    """A hit as JSON; what it does not have is left out."""
    from dataclasses import asdict  # noqa: PLC0415

    facts: dict[str, Any] = {"key": hit.key, "score": round(hit.score, 6)}
    facts |= {} if hit.time is None else {"item": hit.item, "time": hit.time}
    facts |= {"metadata": hit.metadata} if hit.metadata else {}
    return facts | ({"moments": [asdict(part) for part in hit.moments]} if hit.moments else {})


def _clock(seconds: float | None) -> str:
    """A time code: hours where there are any, minutes, seconds and thousandths."""
    if seconds is None:
        return ""
    thousandths = round(seconds * 1000)
    minutes, rest = divmod(thousandths, 60_000)
    hours, minutes = divmod(minutes, 60)
    code = (
        f"{minutes:02}:{rest // 1000:02}.{rest % 1000:03}" if hours else f"{minutes}:{rest // 1000:02}.{rest % 1000:03}"
    )
    return f"{hours}:{code}" if hours else code


@cli.command()
@click.argument("key")
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path), help="A .jpg, .png or .webp file.")
@click.option(
    "--size", default=320, show_default=True, type=click.IntRange(16, 4096), help="The longer side, in pixels."
)
@_collection
def thumbnail(key: str, output: Path, size: int, collection: Path | None) -> None:
    """Write a small picture of an item, or of a frame of a film (FILM#t=12.480)."""
    from glimpse import terminal  # noqa: PLC0415

    _check_picture_file(output)
    with _open(collection) as photos:
        picture = photos.thumbnail(_full(key, photos), size)
    _save(picture, output)
    terminal.say(f"{picture.width} × {picture.height} pixels in {output}")


@cli.command()
@click.argument("pictures", nargs=-1)
@click.option("--texts", type=click.Path(path_type=Path), help="Embed the lines of a text file instead of pictures.")
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path), help="A .npy or .parquet file.")
@_model("ViT-B-32-256/datacomp_s34b_b86k")
@_engine
@_parity
def embed(
    pictures: tuple[str, ...],
    texts: Path | None,
    output: Path,
    model: str,
    engine: Engine,
    *,
    parity: bool,
) -> int:
    """Write embeddings of pictures or texts to a file.

    Pictures are files and folders, texts the lines of a file; vectors are float32, of unit length.

    A .npy file gets a .keys.json beside it: a list whose n-th entry names the n-th row. A .parquet file has the columns
    key and vector. Bad pictures are named and left out.
    """
    from glimpse import export, terminal  # noqa: PLC0415

    if bool(pictures) == (texts is not None):
        raise UsageError("say what to embed: pictures and folders, or --texts FILE")
    export.check(output)
    lines, items = (export.lines(texts), None) if texts else ([], export.files(pictures))
    encoder = engine.load(model, parity=parity)
    with terminal.progress("embedding") as progress:
        embedded = export.pictures(encoder, items, progress) if items is not None else export.texts(encoder, lines)
    export.write(output, embedded.keys, embedded.rows)
    _show_failures(embedded.failures)
    terminal.say(f"{len(embedded.keys)} vectors of {encoder.dim} in {output}")
    return FAILED_ITEMS if embedded.failures else 0


@cli.command()
@click.argument("pictures", nargs=-1, required=True)
@click.option("--label", "-l", "labels", multiple=True, required=True, help="A choice; give several.")
@click.option("--template", multiple=True, help='The sentence a label is put into. Default: "a photo of a {}".')
@_model("ViT-B-32-256/datacomp_s34b_b86k")
@_engine
@_parity
@_json
def classify(
    pictures: tuple[str, ...],
    labels: tuple[str, ...],
    template: tuple[str, ...],
    model: str,
    engine: Engine,
    *,
    parity: bool,
    as_json: bool,
) -> int:
    """Say which label fits each picture, and how likely."""
    from glimpse import export, terminal  # noqa: PLC0415
    from glimpse.encoder import DEFAULT_TEMPLATE  # noqa: PLC0415

    items = export.files(pictures)
    encoder = engine.load(model, parity=parity)
    with terminal.progress("classifying", quiet=True) as progress:
        embedded = export.pictures(encoder, items, progress)
    chances = encoder.rank(embedded.rows, labels, template=template or DEFAULT_TEMPLATE)
    if encoder.card.logit_bias is not None:
        terminal.say("this model gives each label a probability of its own (sigmoid): they need not add up to 1")
    answers = [
        {"key": key, "probabilities": dict(zip(labels, map(float, row), strict=True))}
        for key, row in zip(embedded.keys, chances, strict=True)
    ]
    if as_json:
        terminal.show_json(answers)
    else:
        rows = [
            [key, labels[row.argmax()], f"{row.max():.3f}"] for key, row in zip(embedded.keys, chances, strict=True)
        ]
        terminal.show_table(["picture", "label", "probability"], rows)
    _show_failures(embedded.failures)
    return FAILED_ITEMS if embedded.failures else 0


@cli.command("export")
@click.argument("model")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--precision",
    type=click.Choice(["float32", "float16"]),
    default="float32",
    show_default=True,
    help="Of the weights.",
)
def export_model(model: str, folder: Path, precision: Any) -> None:
    """Write a model as ONNX files, for other programs or as a model of its own.

    FOLDER gets both towers (visual/model.onnx, textual/model.onnx), tokenizer and preprocessing. The towers take uint8
    pictures (n, size, size, 3) and int64 token ids (n, tokens), and give unit vectors. `--model FOLDER` loads it again.
    """
    from glimpse import terminal  # noqa: PLC0415

    encoder = Engine("auto", "auto", "auto").load(model, parity=False)
    encoder.export(folder, precision=precision)
    terminal.say(f"{encoder.card.name} in {folder}")


@cli.command()
@click.argument("model")
@click.argument("pictures", nargs=-1, required=True)
@click.option(
    "--texts", type=click.Path(path_type=Path), help="Look for the lines of this file; default: some captions."
)
@click.option(
    "--limit", default=256, show_default=True, type=click.IntRange(1), help="Look at so many pictures at most."
)
@_parity
@_json
def verify(
    model: str, pictures: tuple[str, ...], texts: Path | None, limit: int, *, parity: bool, as_json: bool
) -> int:
    """Try every runtime and precision of this machine on pictures of your own.

    PICTURES are files and folders. For each engine: how close its vectors are to float32's (cosine, on average and of the
    worst in a thousand), how many of the ten pictures that float32 finds for a text it finds too, and pictures a second,
    decoding left out. int8 is shown some of the pictures first, unless it was before, and is ready for this model then.
    """
    from glimpse import export, terminal, verify  # noqa: PLC0415

    items = export.files(pictures)
    captions = export.lines(texts) if texts else verify.CAPTIONS
    encoder = Engine("auto", "auto", "auto").load(model, parity=parity)
    prepared, failures = verify.prepare(encoder, verify.spread(list(items), limit))
    trials = list(verify.trials(model, prepared, captions, parity=parity, say=terminal.say))
    if as_json:
        terminal.show_json([verify.as_json(trial) for trial in trials])
    else:
        terminal.show_table(verify.HEAD, [verify.cells(trial, trials[0]) for trial in trials])
    _show_failures(failures)
    return FAILED_ITEMS if failures else 0


@cli.command()
@click.argument("part", required=False, default="")
@click.option("--all", "everything", is_flag=True, help="Also those that are not supported yet.")
@_json
def models(part: str, *, everything: bool, as_json: bool) -> None:
    """List the models that can be named.

    With PART, those with it in their names.
    """
    from dataclasses import asdict  # noqa: PLC0415

    from glimpse import terminal, weights  # noqa: PLC0415

    asked = [one for one in weights.listings() if part.lower() in one.name.lower()]
    shown = [one for one in asked if one.supported or everything or as_json]
    if as_json:
        terminal.show_json([asdict(one) for one in shown])
        return
    states = [("on disk" if one.on_disk else "") if one.supported else "not supported yet" for one in shown]
    cells = [[one.name, str(one.image_size), str(one.dim), one.family] for one in shown]
    terminal.show_table(
        ["model", "pixels", "vector", "family", ""], [[*row, state] for row, state in zip(cells, states, strict=True)]
    )
    hidden = len(asked) - len(shown)
    terminal.say('Also: "hf-hub:org/name" for any CLIP on the Hugging Face hub, and the path of a checkpoint folder.')
    if hidden:
        terminal.say(f"{hidden} more are known but not supported yet: glimpse models --all lists them.")


@cli.command()
@_collection
@_json
def status(collection: Path | None, *, as_json: bool) -> None:
    """Say what a collection holds and what failed."""
    from collections import Counter  # noqa: PLC0415
    from dataclasses import asdict  # noqa: PLC0415

    from glimpse import terminal  # noqa: PLC0415

    with _open(collection) as photos:
        made_by, failures = photos.generation, photos.failures()
        items, size, codes = photos.counts(), photos.path.stat().st_size, Counter(failure.code for failure in failures)
        searched = photos.search_facts()
    if as_json:
        facts = {
            "collection": str(photos.path),
            "bytes": size,
            "items": items["pictures"] + items["films"],
            "failed": codes,
        }
        facts |= {name: items[name] for name in ("pictures", "films", "frames")}
        model = asdict(made_by) if made_by else None
        facts |= {"model": model, "search": asdict(searched) if searched else None}
        terminal.show_json(facts | {"failures": [asdict(failure) for failure in failures]})
        return
    rows = [
        ["collection", str(photos.path)],
        ["size", f"{size / 1e6:.1f} MB"],
        ["pictures", str(items["pictures"])],
        ["films", f"{items['films']}, with {items['frames']} frames" if items["films"] else "none"],
        ["model", f"{made_by.model}, {made_by.dim} dimensions, {made_by.precision}" if made_by else "none yet"],
        ["search", str(searched) if searched else "exact"],
        ["failed", ", ".join(f"{count} {code}" for code, count in codes.items()) or "none"],
    ]
    terminal.show_table(["", ""], rows)
    _show_failures(failures, SHOWN_FAILURES)


@cli.command()
@click.argument("places", nargs=-1)
@_collection
@click.option("--code", "codes", multiple=True, help="Only what failed for this reason; several times.")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="A .csv or .json file to write them to.")
@_json
def errors(
    places: tuple[str, ...], collection: Path | None, codes: tuple[str, ...], output: Path | None, *, as_json: bool
) -> None:
    """List what failed, and why.

    With PLACES, only these files and what is below these folders.
    """
    from dataclasses import asdict  # noqa: PLC0415

    from glimpse import export, terminal  # noqa: PLC0415

    if output:
        export.check(output, export.FAILURES)
    with _open(collection) as photos:
        failures = [one for one in photos.failures(*codes) if not places or _is_below(one.key, places)]
    if output:
        export.failures(output, failures)
        terminal.say(f"{len(failures)} failures in {output}")
    elif as_json:
        terminal.show_json([asdict(failure) for failure in failures])
    else:
        terminal.show_table(["code", "item", "reason"], [[one.code, one.key, one.message] for one in failures])


def _is_below(key: str, places: Sequence[str]) -> bool:
    from glimpse import sources  # noqa: PLC0415

    return any(key == place or sources.of_place(place).covers(place, key) for place in places)


@cli.command()
@_json
def doctor(*, as_json: bool) -> None:
    """Say what this installation has, for bug reports."""
    from glimpse import health, terminal  # noqa: PLC0415

    facts = health.examine()
    if as_json:
        terminal.show_json(facts)
    else:
        terminal.show_table(["", ""], [[name, str(value)] for name, value in facts.items()])


@cli.command()
@click.option("--output", "-o", type=click.Path(path_type=Path), default=Path("glimpse-demo.jpg"), show_default=True)
def demo(output: Path) -> None:
    """Try it: bundled pictures, bundled model, five questions."""
    from glimpse import demo as bundled  # noqa: PLC0415
    from glimpse import terminal  # noqa: PLC0415
    from glimpse.sheet import contact_sheet  # noqa: PLC0415

    _check_picture_file(output)
    answers = bundled.answers(progress=terminal.say)
    sheet = contact_sheet(answers)
    _save(sheet, output)
    for query, hits in answers:
        print(query)
        for hit in hits:
            print(f"  {hit.score:.3f}  {Path(hit.key).name}")
    if terminal.can_show_pictures():
        terminal.show_picture(sheet)
    terminal.say(f"The pictures found are in {output}. The demo model knows composed scenes, not photographs.")
    terminal.say(f"Next, with your own pictures:  {_typed()} index ~/Pictures")
    terminal.say(f'and then:                      {_typed()} search "a carriage"')


def _check_picture_file(output: Path) -> None:
    if not output.parent.is_dir() or output.suffix.lower() not in (".jpg", ".jpeg", ".png", ".webp"):
        raise UsageError(f"{output} cannot be written: name a .jpg or .png file in a folder that there is")


def _save(picture: "Image", output: Path) -> None:
    try:
        picture.save(output, quality=90)
    except OSError as error:
        raise UsageError(f"{output} cannot be written ({error.strerror}): name another place with --output") from error


def _typed() -> str:
    """What a person has to type to run this program: its path, where its environment is not activated."""
    from shutil import which  # noqa: PLC0415

    program = Path(sys.argv[0])
    if which("glimpse") or program.name != "glimpse":
        return "glimpse"
    here = Path.cwd()
    return str(program.relative_to(here) if program.is_relative_to(here) else program)
