"""Ask AutoGluon what it makes of our reference checkpoint and of the demo pictures, and keep its answers for the tests.

AutoGluon needs an environment of its own (about 6 GB), nothing of glimpse:

    python -m venv ag && ag/bin/pip install "autogluon.multimodal==1.6.3" "setuptools<81"
    ag/bin/python tools/make_automm_goldens.py

Writes tests/data/golden/automm.npz (arrays) and automm.json (what is not an array).
"""

import gzip
import json
import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ |= {"AUTOMM_TUTORIAL_MODE": "1", "HF_HUB_OFFLINE": "1"}

import numpy as np
from autogluon.multimodal import MultiModalPredictor, __version__
from autogluon.multimodal.optim.metrics.ranking_metrics import compute_ranking_score
from autogluon.multimodal.utils import compute_semantic_similarity, semantic_search

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests" / "data" / "golden"
DEMO = ROOT / "src" / "glimpse" / "demo"
CHECKPOINT = "hf-clip-quickgelu"

RANKINGS = {  # what compute_ranking_score is asked
    "binary": (
        {"q1": {"a": 0.9, "b": 0.8, "c": 0.1, "d": 0.05}, "q2": {"a": 0.2, "b": 0.6, "c": 0.5}},
        {"q1": {"b": 1, "d": 1, "e": 1}, "q2": {"b": 1, "a": 0}},
    ),
    "graded": (
        {"q1": {"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.6}, "q2": {"a": 0.1, "b": 0.3, "c": 0.2}},
        {"q1": {"a": 1, "b": 3, "c": 0, "d": 2}, "q2": {"a": 2, "c": 1, "b": 0}},
    ),
}
METRICS = ["ndcg", "map", "recall", "precision"]
CUTOFFS = [1, 3, 10]


def predictor(problem_type, checkpoint, **more):
    hyperparameters = {
        "model.clip.checkpoint_name": str(checkpoint),
        "env.num_gpus": 0,
        "env.num_workers": 0,
        "env.num_workers_inference": 0,
    }
    if problem_type == "feature_extraction":
        hyperparameters["model.names"] = ["clip"]
    return MultiModalPredictor(problem_type=problem_type, hyperparameters=hyperparameters, verbosity=0, **more)


def unpacked(folder):
    for path in (GOLDEN / CHECKPOINT).iterdir():
        if path.suffix == ".gz":
            (folder / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
        else:
            shutil.copyfile(path, folder / path.name)
    tokenizer = json.loads(gzip.decompress((GOLDEN / "tokenizer.json.gz").read_bytes()))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "vocab.json").write_text(json.dumps(tokenizer["model"]["vocab"]))
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in tokenizer["model"]["merges"]]
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    return folder


def of_tiny(folder):
    """The reference checkpoint: every way to ask for embeddings and probabilities."""
    pictures = [str(path) for path in sorted((GOLDEN / "pictures").glob("*.png"))]
    texts = [text for text in json.loads((folder / "golden.json").read_bytes())["texts"] if text]
    zero_shot = predictor("zero_shot_image_classification", folder)
    images = zero_shot.extract_embedding({"image": pictures})["image"]
    found = {
        "images": images,
        "texts": zero_shot.extract_embedding({"text": texts})["text"],
        "joined": zero_shot.extract_embedding({"b": texts[:3], "a": texts[3:6]})["a_b"],
        "second": zero_shot.extract_embedding({"two": pictures[:3], "one": pictures[3:]})["two"],
        "pairs": zero_shot.predict({"image": pictures, "text": texts[:6]}),
        "proba_of_pairs": zero_shot.predict_proba({"image": pictures, "text": texts[:6]}),
        "proba": zero_shot.predict_proba({"image": pictures}, {"text": texts}),
        "predict": zero_shot.predict({"image": pictures}, {"text": texts}),
        "proba_of_texts": zero_shot.predict_proba({"text": texts}, {"image": pictures}),
        "predict_of_texts": zero_shot.predict({"text": texts}, {"image": pictures}),
    }
    missing, masks = zero_shot.extract_embedding({"image": [*pictures, "no-such.png"]}, return_masks=True)
    found |= {"with_missing": missing["image"], "masks": masks["image"]}
    features = predictor("feature_extraction", folder).extract_embedding({"image": pictures, "text": texts[:6]})
    found |= {"feature_images": features["image"], "feature_texts": features["text"]}
    matching = predictor("image_text_similarity", folder, query="picture", response="words")
    pairs = {"picture": pictures, "words": texts[:6]}
    found |= {
        "matching_images": matching.extract_embedding({"picture": pictures}),
        "matching_texts": matching.extract_embedding({"words": texts}),
        "matching_proba": matching.predict_proba(pairs),
        "matching_predict": matching.predict(pairs),
        "similarity": compute_semantic_similarity(images, 3 * found["texts"]).numpy(),
        "dot": compute_semantic_similarity(images[0], 3 * found["texts"], similarity_type="dot_prod").numpy(),
    }
    search = semantic_search(matching, query_data=texts, response_data=pictures, top_k=4)
    evaluated = matching.evaluate(
        {**pairs, "relevance": [1] * 6},
        query_data={"picture": pictures},
        response_data={"words": texts},
        label="relevance",
        metrics=METRICS,
        cutoffs=CUTOFFS,
    )
    backwards = matching.evaluate(
        {**pairs, "relevance": [1] * 6},
        query_data={"words": texts[:6]},
        response_data={"picture": pictures},
        label="relevance",
        metrics=METRICS,
        cutoffs=CUTOFFS,
    )
    plain = {"texts": texts, "search": search, "evaluated": evaluated, "backwards": backwards}
    plain["search_backwards"] = semantic_search(
        matching, query_data={"words": texts}, response_data={"picture": pictures}, top_k=4
    )
    return found, plain


def of_demo():
    """The demo model: pictures by pictures only, for AutoGluon knows no other tokenizer than CLIP's."""
    matching = predictor("image_text_similarity", DEMO / "model")
    pictures = sorted(str(path) for path in (DEMO / "pictures").glob("*.jpg"))
    images = matching.extract_embedding(pictures, as_tensor=True)
    search = semantic_search(matching, query_embeddings=images, response_embeddings=images, top_k=10)
    return {"demo_images": images.numpy()}, {"demo_search": search}


def main():
    with TemporaryDirectory() as folder:
        arrays, plain = of_tiny(unpacked(Path(folder)))
    more, searches = of_demo()
    scores = {
        name: compute_ranking_score(results, relevance, METRICS, CUTOFFS)
        for name, (results, relevance) in RANKINGS.items()
    }
    plain |= searches | {"rankings": RANKINGS, "scores": scores, "autogluon": __version__}
    plain |= {"metrics": METRICS, "cutoffs": CUTOFFS}
    np.savez_compressed(GOLDEN / "automm.npz", **arrays, **more)
    (GOLDEN / "automm.json").write_text(json.dumps(plain, indent=1, default=float) + "\n", "utf-8")


if __name__ == "__main__":
    main()
