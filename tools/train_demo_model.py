"""Make the bundled demo model: `python tools/train_demo_model.py`.

Writes `model/` (a Hugging Face CLIP folder with its evaluation) and `pictures/` to
`src/glimpse/demo`. Needs torch, numpy, Pillow, safetensors and tokenizers, and Debian's package
fonts-noto-color-emoji. Takes about three quarters of an hour on two quiet cores.
"""

import argparse
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))


def main() -> None:
    arguments = parse()
    if arguments.font:
        os.environ["DEMO_FONT"] = str(arguments.font)  # before `sprites` is imported, here and in the workers
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    everything = not (arguments.only_pictures or arguments.only_evaluate)
    if everything or arguments.only_pictures:
        from demo_model import pictures

        pictures.write(arguments.out / "pictures")
    if everything:
        from demo_model import recipe, train

        train.train(recipe.plan(arguments.out / "model", arguments.steps), arguments.from_stage)
    if everything or arguments.only_evaluate:
        judge(arguments.out / "model")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "src" / "glimpse" / "demo", help="where to write")
    parser.add_argument("--steps", type=float, default=1.0, help="part of the full number of steps, for a quick look")
    parser.add_argument("--from-stage", type=int, default=0, help="1: go on from the checkpoint the first stage left")
    parser.add_argument("--font", type=Path, help="NotoColorEmoji.ttf, if it is not where Debian puts it")
    parser.add_argument("--only-pictures", action="store_true", help="write the bundled pictures only")
    parser.add_argument("--only-evaluate", action="store_true", help="judge the model that is already there")
    return parser.parse_args()


def judge(folder: Path) -> None:
    """Evaluate the float16 checkpoint and write the figures beside it."""
    from demo_model import checkpoint, evaluate

    with TemporaryDirectory() as scratch:
        figures = evaluate.evaluate(checkpoint.Trained(folder), Path(scratch))
    evaluate.save(figures, folder / "evaluation.json")
    for name, row in figures.items():
        print(name, " ".join(f"{key} {value:.3f}" for key, value in row.items()))


if __name__ == "__main__":
    main()
