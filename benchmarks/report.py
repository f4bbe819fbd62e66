"""Write `docs/benchmarks.md` from `benchmarks/results/`: every figure in it was measured by a script that anyone can run."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from measure import RESULTS, tables

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
QUESTIONS = {
    "encoder": (
        "Pictures a second",
        """JPEG files to unit vectors, and the towers alone with pixels ready in memory. transformers prepares pictures with
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
        "Whole processes, from start to end, with files in the system's memory and the compiled tower on disk.",
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

How quick glimpse is beside transformers on torch, on the same processor, with the same checkpoint and the same files, in one
run. Contestants take turns, round after round, after a round that does not count; a ratio is taken within each round, and
its median is reported with the range over the rounds. Ratios say more than figures, but they too depend on the processor. The weights are random, which changes no time.

To measure on your machine (it installs torch and transformers beside glimpse, and takes some minutes; leave the machine
alone meanwhile):

    make bench

It prints what it finds, keeps it in `benchmarks/results/`, and makes this page from that. Each script says with
`--help` what else it can: other sizes (`--model ViT-L-14`), your own pictures (`--pictures FOLDER`), more rounds. Checkpoints
and pictures are kept in `~/.cache/glimpse-bench`, or where `GLIMPSE_BENCH` says.

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
    found = [path for pattern in (f"{question}.json", f"{question}-*.json") for path in sorted(RESULTS.glob(pattern))]
    return "\n\n".join(map(_answer, found)) or "Not measured yet."


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
