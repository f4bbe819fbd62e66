"""Write `docs/benchmarks.md` from `benchmarks/results/`: every figure in it was measured by a script that anyone can run."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from measure import RESULTS, tables

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
QUESTIONS = {
    "indexing": (
        "Indexing",
        """JPEG files to vectors, end to end: glimpse's into a new collection on the disk, the others' into an array.
sentence-transformers and fastembed are used as they come. transformers (also compiled by torch) and ONNX Runtime get threads that
decode, and the batch size that is their fastest. int8 is for information: nobody's best precision, for it changes what is found.
The share at the end is of what the tower alone and decoding alone, each given the whole machine, allow together.""",
    ),
    "search": (
        "Search",
        """A query's ten best among 10,000, 100,000 and 1,000,000 vectors, each contestant in a process of its own. Vectors are
synthetic but made like CLIP's: pictures in clusters, texts in another cone, so that they are no neighbours of what an index was
built of. glimpse's time is that of `Collection.search`, up to hits with keys and metadata; the others give places. The graphs (HNSW)
look at as much as it takes for a recall of 0.99. Memory is what a process has for itself; files that it maps are the system's.""",
    ),
    "towers": (
        "Towers by batch",
        "The image tower alone, by how many pictures it is given at a time, beside the fastest of the others in that precision.",
    ),
    "encoder": (
        "Pictures a second",
        """JPEG files to unit vectors by `Encoder.images`, and the towers alone with pixels ready in memory. transformers prepares pictures with
its Pillow processor, in the one thread that calls it; of its batch sizes the fastest counts. The targets come from a
Zen 5 processor, where torch's float32 products are far from what the processor can do; where they are close to it, as on
Zen 4, no engine can reach these ratios: the next section shows how near to the limit glimpse itself is.""",
    ),
    "peak": (
        "How close to the limit",
        """A tower is nearly all matrix products: their speed, in the same run and precision, bounds what any engine can
reach, and with it the ratios above. Here "transformers" stands for the fastest plain product; the ratio is the share of it
that the tower reaches, counting the arithmetic of every token in every block.""",
    ),
    "decode": (
        "Decoding",
        "JPEG files to pixels that are ready for the model, by how large the pictures are; no tower takes part.",
    ),
    "fidelity": (
        "What decoding smaller changes",
        """Large JPEGs are decoded no larger than the model has use for, unless `fidelity="exact"` is asked for. What that does to
vectors: cosine to those of the whole picture and its 0.1 percentile, and the share of the ten pictures that are found for a text.""",
    ),
    "ingest": (
        "Bad files, and memory",
        """Folders indexed end to end into new collections: what one bad file in twenty (cut, damaged, something else, with a huge claimed
size) costs the good ones, and what a long run takes in memory, workers included, above the loaded model. The watched run uses
the bundled demo model, which embeds so fast that decoding is what it waits for.""",
    ),
    "engines": (
        "Engines and precisions",
        """What `glimpse verify` says of every engine of one machine: cosine to float32 and its 0.1 percentile, the share of the ten
pictures that float32 finds for a text, and pictures a second of the tower alone, also as multiples of the first row's. The ViT has
random weights, which have no outliers: of int8 a trained model's figures are the ones to look at, and one's own those to believe.
The bundled demo model is trained, but tiny. The comparison at the top is measured in turn.""",
    ),
    "gpu": (
        "On a GPU",
        """Towers alone, as a share of the fastest matrix product of the same run, and from JPEG files, beside transformers and
open_clip. Where no figures follow, no GPU was at hand when this page was made.""",
    ),
    "text_query": (
        "One text",
        "A short query to its vector, tokenizer included, everything loaded. The rounds are medians.",
    ),
    "cold_start": (
        "From a cold start",
        """Whole processes, from start to end, with files in the system's memory, the compiled tower on disk, and what glimpse derives from a
collection made.""",
    ),
    "automm": (
        "AutoGluon's face",
        """`MultiModalPredictor` of glimpse.automm beside AutoGluon's own: the same calls, settings and files, each library in
a process of its own with the threads that it chooses. Import is a whole process that does nothing else. One text and the
pictures go through `extract_embedding`, everything loaded; `realtime=True` is AutoGluon's way without worker processes.
Peak memory is that of a process that embeds the pictures and a text: glimpse's where it has to compile its towers, as the
very first does, and where it finds them on disk, whose pages are counted. AutoGluon starts processes that share its memory;
the largest one is counted, and no other.""",
    ),
}
HEAD = """# Benchmarks

<!-- Made by benchmarks/report.py from benchmarks/results/: do not edit. -->

How quick glimpse is beside others, on the same processor, with the same checkpoint and the same files, in one
run. Contestants take turns, round after round, after a round that does not count; a ratio is taken within each round, and
its median is reported with the range over the rounds. Ratios say more than figures, but they too depend on the processor. The weights are random, which changes no time.

To measure on your machine (it installs torch and the peers beside glimpse, and takes about two hours and 15 GB of disk; leave the
machine alone meanwhile):

    make bench

It prints what it finds, keeps it in `benchmarks/results/`, and makes this page from that. Each script says with
`--help` what else it can: other sizes (`--model ViT-L-14`), your own pictures (`--pictures FOLDER`) and
vectors (`--vectors FILE.npy --queries FILE.npy`), more rounds. A peer that is not installed is left out, aloud. Checkpoints, pictures,
vectors and collections are kept in `~/.cache/glimpse-bench`, or where `GLIMPSE_BENCH` says.

AutoGluon takes an environment of its own (6 GB), so `make bench` leaves it out:

    python -m venv ag && ag/bin/pip install "autogluon.multimodal==1.6.3" "setuptools<81"
    .venv/bin/python benchmarks/automm.py --autogluon ag/bin/python
    .venv/bin/python benchmarks/report.py
"""


def page() -> str:
    """The whole page, as Markdown."""
    return "\n".join([HEAD, *(_section(*question) for question in QUESTIONS.items())])


def _section(name: str, texts: tuple[str, str]) -> str:
    title, text = texts
    return f"## {title}\n\n{text}\n\n{_answers(name)}\n"


def _answers(question: str) -> str:
    """What was found with the usual model, then with others."""
    found = [
        path for pattern in (f"{question}.json", f"{question}-*.json") for path in _in_order(RESULTS.glob(pattern))
    ]
    return "\n\n".join(map(_answer, found)) or "Not measured yet."


def _in_order(paths: Iterable[Path]) -> list[Path]:
    """Those of more vectors behind those of fewer, the others by name."""
    return sorted(paths, key=lambda path: (len(path.stem), path.stem))


def _answer(path: Path) -> str:
    result = json.loads(path.read_bytes())
    return f"{tables(result)}\n\n{_conditions(result)}"


def _conditions(result: Mapping[str, Any]) -> str:
    setup = "; ".join(f"{name}: {value}" for name, value in result["setup"].items())
    machine = result["machine"]
    where = f"{machine['cores']} cores of {machine['processor']}, {machine['system']}, Python {machine['python']}"
    libraries = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    return f"Measured on {result['date']}. {setup[0].upper()}{setup[1:]}. {where}. {libraries}."


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), "utf-8")
    print(PAGE)
