"""The command line: every command parses, calls the library, prints. Nothing is computed here.

Results go to standard output, progress and complaints to standard error. Exit codes: 0, 1 for failed items, 2 for wrong use,
130 after Ctrl-C. Heavy libraries are imported by the commands that need them, so that `--help` is quick.
"""

import os
import sys
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from glimpse import __version__
from glimpse.errors import BadItem, GlimpseError, UsageError

if TYPE_CHECKING:
    from glimpse.collection import Collection, Generation
    from glimpse.encoder import Encoder
    from glimpse.values import Failure, Hit

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
_precision = click.option(
    "--precision",
    default="auto",
    show_default=True,
    help="float32, bfloat16, or auto: the fastest that is native here.",
)
_runtime = click.option("--runtime", default="auto", show_default=True, help="openvino, or numpy (slow, exact).")
_parity = click.option(
    "--parity",
    is_flag=True,
    help="Treat pictures as open_clip and AutoGluon do: no EXIF turn, alpha or colour profiles.",
)
_model_help = 'A name from `glimpse models`, "hf-hub:org/name", or a checkpoint folder.'


def _model(default: str | None) -> Callable[[Command], Command]:
    return click.option("--model", "-m", default=default, show_default=default is not None, help=_model_help)


def _encoder(model: str, runtime: str, precision: str, *, parity: bool) -> "Encoder":
    from glimpse.encoder import load  # noqa: PLC0415

    return load(
        model, runtime=runtime, precision=precision, parity=parity, progress=bool(sys.stderr and sys.stderr.isatty())
    )


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
@click.argument("places", nargs=-1, required=True, type=click.Path(path_type=Path))
@_collection
@_model(None)
@_runtime
@_precision
@_parity
@click.option("--retry-failed", is_flag=True, help="Try again what failed before, though the files have not changed.")
@_json
def index(
    places: tuple[Path, ...],
    collection: Path | None,
    model: str | None,
    runtime: str,
    precision: str,
    *,
    parity: bool,
    retry_failed: bool,
    as_json: bool,
) -> int:
    """Put the pictures of files and folders into a collection.

    What has not changed since the last time is not read again; files that moved or went away are noticed. Without
    --model a new collection uses ViT-B-32-256/datacomp_s34b_b86k, and an old one the model that made it. Ctrl-C stops
    after the batch at hand; what was done is kept.
    """
    from dataclasses import asdict  # noqa: PLC0415

    from glimpse import terminal  # noqa: PLC0415
    from glimpse.collection import DEFAULT_MODEL  # noqa: PLC0415
    from glimpse.sources.folder import root  # noqa: PLC0415

    for place in places:  # before a model is fetched
        root(place)
    made_by = _made_by(collection)
    name = model or (made_by.model if made_by else DEFAULT_MODEL)
    encoder = _encoder(name, runtime, precision, parity=parity or bool(made_by and made_by.parity))
    with _open(collection, encoder, create=True) as photos:
        with _ctrl_c() as stopped, terminal.progress("indexing", quiet=as_json) as progress:
            report = photos.index(*places, progress=progress, stop=stopped, retry_failed=retry_failed)
        if as_json:
            terminal.show_json(asdict(report))
        else:
            _show_failures(report.failures, SHOWN_FAILURES)
            terminal.say(f"{report}; {len(photos)} pictures in {photos.path}")
    return INTERRUPTED if report.interrupted else FAILED_ITEMS if report.failures else 0


class _ctrl_c:  # noqa: N801  (used like a function)
    """Make Ctrl-C a question that the run asks between batches; a second Ctrl-C stops at once."""

    def __enter__(self) -> Callable[[], bool]:
        import signal  # noqa: PLC0415

        self._asked = False
        self._before = signal.signal(signal.SIGINT, self._ask)
        return lambda: self._asked

    def _ask(self, *_: Any) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True

    def __exit__(self, *_: object) -> None:
        import signal  # noqa: PLC0415

        signal.signal(signal.SIGINT, self._before)


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
@_collection
@_model(None)
@_json
def search(
    text: str | None,
    image: Path | None,
    key: str | None,
    count: int,
    collection: Path | None,
    model: str | None,
    *,
    as_json: bool,
) -> None:
    """Find pictures by a text, a picture or a key.

    Best first, with their cosines. Without --model, the model that made the collection is used.
    """
    if sum(query is not None for query in (text, image, key)) != 1:
        raise UsageError("say what to look for: a text, --image FILE or --key KEY, and only one of them")
    with _open(collection, model) as photos:
        if not len(photos):
            raise UsageError(f"{photos.path} is empty: `glimpse index FOLDER` fills it")
        if key is not None:
            hits = photos.search(key=_full(key, photos), k=count)
        else:
            hits = photos.search(text if text is not None else image, k=count)
    _show_hits(hits, as_json=as_json)


def _full(key: str, photos: "Collection") -> str:
    """A key as it is stored: a file may be named from where one stands."""
    from glimpse.sources.folder import key_of  # noqa: PLC0415

    absolute = key_of(Path(os.path.abspath(key)))  # noqa: PTH100  (resolve() would follow links)
    return absolute if absolute in photos else key


def _show_hits(hits: Sequence["Hit"], *, as_json: bool) -> None:
    from glimpse import terminal  # noqa: PLC0415

    if as_json:
        terminal.show_json([{"key": hit.key, "score": round(hit.score, 6)} for hit in hits])
    else:
        terminal.show_table(["score", "picture"], [[f"{hit.score:.4f}", hit.key] for hit in hits])


@cli.command()
@click.argument("pictures", nargs=-1, type=click.Path(path_type=Path))
@click.option("--texts", type=click.Path(path_type=Path), help="Embed the lines of a text file instead of pictures.")
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path), help="A .npy or .parquet file.")
@_model("ViT-B-32-256/datacomp_s34b_b86k")
@_runtime
@_precision
@_parity
def embed(
    pictures: tuple[Path, ...],
    texts: Path | None,
    output: Path,
    model: str,
    runtime: str,
    precision: str,
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
    lines, items = (export.lines(texts), []) if texts else ([], export.files(pictures))
    encoder = _encoder(model, runtime, precision, parity=parity)
    with terminal.progress("embedding") as progress:
        embedded = export.texts(encoder, lines) if texts else export.pictures(encoder, items, progress)
    export.write(output, embedded.keys, embedded.rows)
    _show_failures(embedded.failures)
    terminal.say(f"{len(embedded.keys)} vectors of {encoder.dim} in {output}")
    return FAILED_ITEMS if embedded.failures else 0


@cli.command()
@click.argument("pictures", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--label", "-l", "labels", multiple=True, required=True, help="A choice; give several.")
@click.option("--template", multiple=True, help='The sentence a label is put into. Default: "a photo of a {}".')
@_model("ViT-B-32-256/datacomp_s34b_b86k")
@_runtime
@_precision
@_parity
@_json
def classify(
    pictures: tuple[Path, ...],
    labels: tuple[str, ...],
    template: tuple[str, ...],
    model: str,
    runtime: str,
    precision: str,
    *,
    parity: bool,
    as_json: bool,
) -> int:
    """Say which label fits each picture, and how likely."""
    from glimpse import export, terminal  # noqa: PLC0415
    from glimpse.encoder import DEFAULT_TEMPLATE  # noqa: PLC0415

    items = export.files(pictures)
    encoder = _encoder(model, runtime, precision, parity=parity)
    with terminal.progress("classifying", quiet=True) as progress:
        embedded = export.pictures(encoder, items, progress)
    chances = encoder.rank(embedded.rows, labels, template=template or DEFAULT_TEMPLATE)
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
        items, size, codes = len(photos), photos.path.stat().st_size, Counter(failure.code for failure in failures)
    if as_json:
        facts = {"collection": str(photos.path), "bytes": size, "items": items, "failed": codes}
        model = asdict(made_by) if made_by else None
        terminal.show_json(facts | {"model": model, "failures": [asdict(failure) for failure in failures]})
        return
    rows = [
        ["collection", str(photos.path)],
        ["size", f"{size / 1e6:.1f} MB"],
        ["pictures", str(items)],
        ["model", f"{made_by.model}, {made_by.dim} dimensions, {made_by.precision}" if made_by else "none yet"],
        ["failed", ", ".join(f"{count} {code}" for code, count in codes.items()) or "none"],
    ]
    terminal.show_table(["", ""], rows)
    _show_failures(failures, SHOWN_FAILURES)


@cli.command()
@click.argument("places", nargs=-1, type=click.Path(path_type=Path))
@_collection
@click.option("--code", "codes", multiple=True, help="Only what failed for this reason; several times.")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="A .csv or .json file to write them to.")
@_json
def errors(
    places: tuple[Path, ...], collection: Path | None, codes: tuple[str, ...], output: Path | None, *, as_json: bool
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


def _is_below(key: str, places: Sequence[Path]) -> bool:
    from glimpse.sources.folder import key_of  # noqa: PLC0415

    named = [key_of(Path(os.path.abspath(os.path.expanduser(place)))) for place in places]  # noqa: PTH100, PTH111
    return any(key == place or key.startswith(place.rstrip(os.sep) + os.sep) for place in named)


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

    if not output.parent.is_dir() or output.suffix.lower() not in (".jpg", ".jpeg", ".png", ".webp"):
        raise UsageError(f"{output} cannot be written: name a .jpg or .png file in a folder that there is")
    answers = bundled.answers(progress=terminal.say)
    sheet = contact_sheet(answers)
    try:
        sheet.save(output, quality=90)
    except OSError as error:
        raise UsageError(f"{output} cannot be written ({error.strerror}): name another place with --output") from error
    for query, hits in answers:
        print(query)
        for hit in hits:
            print(f"  {hit.score:.3f}  {Path(hit.key).name}")
    if terminal.can_show_pictures():
        terminal.show_picture(sheet)
    terminal.say(f"The pictures found are in {output}. The demo model knows composed scenes, not photographs.")
    terminal.say(f"Next, with your own pictures:  {_typed()} index ~/Pictures")
    terminal.say(f'and then:                      {_typed()} search "a carriage"')


def _typed() -> str:
    """What a person has to type to run this program: its path, where its environment is not activated."""
    from shutil import which  # noqa: PLC0415

    program = Path(sys.argv[0])
    if which("glimpse") or program.name != "glimpse":
        return "glimpse"
    here = Path.cwd()
    return str(program.relative_to(here) if program.is_relative_to(here) else program)
