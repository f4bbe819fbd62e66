"""Make the reference checkpoints small enough to commit: unused rows of the token table become zeros, then gzip.

Usage: python tools/shrink_goldens.py GOLDENS tests/data/golden

What the texts of a golden never look up cannot change its outputs, so the reference outputs stay as they are.
"""

import gzip
import shutil
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save

NAMES = ("hf-clip-gelu", "hf-clip-quickgelu", "open_clip-vit", "open_clip-vit-quickgelu")
SMALL = ("config.json", "open_clip_config.json", "preprocessor_config.json", "golden.json", "golden.npz")


def shrink(source: Path, target: Path) -> None:
    """Copy one golden folder."""
    target.mkdir(parents=True, exist_ok=True)
    for name in SMALL:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
    used = np.unique(np.load(source / "golden.npz")["input_ids"])
    for weights in source.glob("*.safetensors"):
        tensors = load_file(weights)
        table = next(name for name in tensors if name.endswith("token_embedding.weight"))
        kept = np.zeros_like(tensors[table])
        kept[used] = tensors[table][used]
        (target / f"{weights.name}.gz").write_bytes(gzip.compress(save({**tensors, table: kept}), 9, mtime=0))


def main(source: Path, target: Path) -> None:
    """Copy all goldens, the pictures and one tokenizer.json."""
    for name in NAMES:
        shrink(source / name, target / name)
    shutil.copytree(source / "pictures", target / "pictures", dirs_exist_ok=True)
    tokenizer = (source / NAMES[0] / "tokenizer.json").read_bytes()
    (target / "tokenizer.json.gz").write_bytes(gzip.compress(tokenizer, 9, mtime=0))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
