"""`MultiModalPredictor` for CLIP: AutoGluon's arguments in, glimpse's encoder underneath, AutoGluon's results out.

The model is found, and fetched where it is not on disk, when a predictor is made, so that what is wrong shows at once. Knows
neither pixels nor tokens.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from glimpse import weights
from glimpse.automm import arrays, columns, embedding, evaluation, saved, settings
from glimpse.automm.columns import Table
from glimpse.automm.embedding import Embedder
from glimpse.automm.presets import PROBLEMS, problem_of
from glimpse.automm.roles import Roles, Signature, names_of
from glimpse.errors import UsageError
from glimpse.values import Rows

LOGIT_SCALE = (
    100.0  # what AutoGluon multiplies cosines by, whatever the checkpoint says; OpenAI's checkpoints say it too
)
_LEVELS = (logging.ERROR, 25, logging.INFO, 15, logging.DEBUG)  # AutoGluon's, by verbosity
_log = logging.getLogger("glimpse.automm")


class MultiModalPredictor:
    """AutoGluon's predictor, for the problem types that a CLIP serves, without training.

        predictor = MultiModalPredictor(problem_type="zero_shot_image_classification")
        rows = predictor.extract_embedding({"image": ["a.jpg", "b.jpg"]})["image"]  # float32 (2, dim), unit rows

    Where its results differ from AutoGluon's on purpose is said in docs/automm.md.
    """

    def __init__(  # noqa: D417
        self,
        label: str | None = None,
        problem_type: str | None = None,
        query: str | Sequence[str] | None = None,
        response: str | Sequence[str] | None = None,
        match_label: Any = None,
        presets: str | None = None,
        eval_metric: str | None = None,
        hyperparameters: settings.Hyperparameters | None = None,
        path: str | os.PathLike[str] | None = None,
        verbosity: int = 2,
        num_classes: int | None = None,  # noqa: ARG002  (of training and detection, like those that follow)
        classes: Sequence[Any] | None = None,
        warn_if_exist: bool = True,  # noqa: ARG002, FBT001, FBT002  (AutoGluon's signature)
        enable_progress_bar: bool | None = None,  # noqa: FBT001
        pretrained: bool = True,  # noqa: FBT001, FBT002
        validation_metric: str | None = None,  # noqa: ARG002
        sample_data_path: str | None = None,  # noqa: ARG002
        use_ensemble: bool = False,  # noqa: FBT001, FBT002
        ensemble_size: int = 2,  # noqa: ARG002
        ensemble_mode: str = "one_shot",  # noqa: ARG002
        *,
        pipeline: str | None = None,
        column_types: Mapping[str, str] | None = None,
    ) -> None:
        """Check everything and find the model; nothing is computed yet.

        Args:
            label: the column of data frames that says what is right; it is not embedded.
            problem_type: "zero_shot_image_classification", "feature_extraction", "image_text_similarity",
                "image_similarity" or "text_similarity".
            query: the column, or columns, of queries; for the three kinds of similarity.
            response: the column, or columns, of responses.
            match_label: the label that says that a pair belongs together; 1 where it is None.
            presets: "medium_quality", "high_quality" or "best_quality"; AutoGluon's default where it is None.
            eval_metric: what `evaluate` reports where it is given no metrics.
            hyperparameters: a dict, or "key=value" texts; docs/automm.md lists the keys.
            path: kept as `path`; where `save` puts the predictor is said there.
            verbosity: 0 to 4; below 2 no progress is shown.
            classes: the two labels of pairs, what does not match first.
            enable_progress_bar: show progress; by default unless AUTOMM_TUTORIAL_MODE or AUTOMM_DISABLE_PROGRESS_BAR is set.
            pretrained: must be True.
            use_ensemble: must be False.
            pipeline: what AutoGluon called `problem_type` before 1.0.
            column_types: column → "image" or "text", where its cells would leave a doubt.

        Raises:
            UsageError: an argument that cannot be right.
            ModelError: the checkpoint cannot be found, fetched or read.
        """
        if not pretrained or use_ensemble:
            raise UsageError("glimpse does not train: leave pretrained and use_ensemble as they are")
        self._problem = problem_of(problem_type, pipeline)
        self._settings = settings.read(hyperparameters, self._problem, presets)
        self._column_types = _column_types(column_types)
        self._roles = Roles(names_of(query), names_of(response), label)
        self.match_label, self.eval_metric = _plain(match_label), eval_metric
        self.path = None if path is None else os.fspath(path)
        self.classes = None if classes is None else [_plain(label) for label in classes]
        evaluation.labels_of_pairs(self.classes, self.match_label)  # wrong ones are told of at once
        self._bar = _wants_bar() if enable_progress_bar is None else enable_progress_bar
        self.set_verbosity(verbosity)
        from glimpse.encoder import load  # noqa: PLC0415  (a third of the import, and only for who makes a predictor)

        self._encoder = load(
            self._settings.checkpoint,
            precision=self._settings.precision,
            parity=self._settings.parity,
            fidelity="exact",  # AutoGluon's vectors are promised
            progress=not self._quiet,
        )
        _log.info("%r for %s", self._encoder, self._problem.name)

    def __repr__(self) -> str:
        return f"<MultiModalPredictor {self.problem_type}: {self._encoder!r}>"

    # What it is ---------------------------------------------------------------------------------------------------------

    @property
    def problem_type(self) -> str:
        """AutoGluon's name of it."""
        return self._problem.name

    @property
    def label(self) -> str | None:
        """The column that says what is right."""
        return self._roles.label

    @property
    def query(self) -> list[str] | None:
        """The columns of queries."""
        return self._roles.query

    @property
    def response(self) -> list[str] | None:
        """The columns of responses."""
        return self._roles.response

    @property
    def column_types(self) -> dict[str, str]:
        """The columns whose kind was said when the predictor was made."""
        return dict(self._column_types)

    @property
    def class_labels(self) -> list[Any] | None:
        """The two labels of pairs, where `classes` were given; None for the other problem types, as with AutoGluon."""
        return None if self.classes is None else list(self.classes)

    @property
    def verbosity(self) -> int:
        """How much is told, 0 to 4."""
        return self._verbosity

    def set_verbosity(self, verbosity: int) -> None:
        """Say how much is told, 0 to 4: from 2 on progress is shown, and the logger "glimpse.automm" names the model.

        As with AutoGluon, the logger is one for all predictors. Warnings about pictures are Python's: its `warnings` hides them.
        """
        if not isinstance(verbosity, int) or not 0 <= verbosity < len(_LEVELS):
            raise UsageError(f"verbosity is {verbosity!r}: give a number from 0 to {len(_LEVELS) - 1}")
        self._verbosity = verbosity
        _log.setLevel(_LEVELS[verbosity])

    def set_num_gpus(self, num_gpus: int) -> None:
        """Say how many GPUs may be used; there is no GPU runtime yet."""
        self._settings = replace(self._settings, gpus=num_gpus)

    def get_num_gpus(self) -> int:
        """How many GPUs may be used; -1 is all there are."""
        return self._settings.gpus

    def list_supported_models(self, pretrained: bool = True) -> list[str]:  # noqa: ARG002, FBT001, FBT002
        """Names for `model.clip.checkpoint_name`: AutoGluon's own checkpoints, then those of open_clip's zoo and the demo model."""
        own = {name for problem in PROBLEMS.values() for name in problem.checkpoints.values()}
        return [*sorted(own), *(listing.name for listing in weights.listings() if listing.supported)]

    @property
    def _embedder(self) -> Embedder:
        return Embedder(self._encoder, self._settings, self._column_types, self._problem.kind, self._quiet)

    @property
    def _quiet(self) -> bool:
        return not self._bar or self._verbosity < 2  # noqa: PLR2004

    # Embeddings ---------------------------------------------------------------------------------------------------------

    def extract_embedding(
        self,
        data: Any,
        id_mappings: Mapping[str, Any] | None = None,
        return_masks: bool = False,  # noqa: FBT001, FBT002
        as_tensor: bool = False,  # noqa: FBT001, FBT002
        as_pandas: bool = False,  # noqa: FBT001, FBT002
        realtime: bool | None = False,  # noqa: ARG002, FBT001, FBT002  (every call is)
        signature: Signature | None = None,
    ) -> Any:
        """Embed columns of pictures and texts.

        Args:
            data: a dict of columns, a data frame, or a list; the path of a picture, a CSV or a parquet file. Pictures are
                paths, bytes, base64, Pillow pictures or uint8 arrays.
            id_mappings: column → {identifier: content}, where the data has identifiers.
            return_masks: also return which rows have a vector: float32 (n,), 1 or 0.
            as_tensor: torch tensors instead of arrays.
            as_pandas: data frames, with the index of the data, instead of arrays.
            realtime: taken for AutoGluon's sake; there is one way, and it is the quick one.
            signature: "query" or "response": which columns to embed, for the three kinds of similarity.

        Returns:
            For zero-shot and feature extraction a dict: each picture column by its name, and all text columns together as
            one text, by their names joined with "_" in alphabetical order. For similarity one array. Arrays are float32
            (n, dim), rows of unit length in the order of the data.

        Raises:
            BadItems: pictures cannot be used and the strategy is "raise"; names them all.
            UsageError: the data cannot be read, or says not clearly what is to be embedded.
            MissingExtra: torch or pandas is asked for and not installed.

        Warns:
            PictureWarning: pictures cannot be used and the strategy is "zero" or "skip".
            TruncationWarning: a text is too long for the model.
        """
        header = self._roles.header(signature) if self._problem.matching else columns.LIST
        given = columns.with_contents(columns.table(data, header), id_mappings)
        names = self._roles.side(given, signature) if self._problem.matching else self._roles.others(given)
        result: tuple[Any, Any] = self._embedder.rows(given, names)
        if self._problem.matching:
            result = embedding.only(result[0], "data"), embedding.only(result[1], "data")
        found, which = (
            arrays.converted(one, as_tensor=as_tensor, as_pandas=as_pandas, index=given.index) for one in result
        )
        return (found, which) if return_masks else found

    # Predictions --------------------------------------------------------------------------------------------------------

    def predict(
        self,
        data: Any,
        candidate_data: Any = None,
        id_mappings: Mapping[str, Any] | None = None,
        as_pandas: bool | None = None,  # noqa: FBT001
        realtime: bool | None = False,  # noqa: ARG002, FBT001, FBT002
        save_results: bool | None = None,  # noqa: ARG002, FBT001
    ) -> Any:
        """Say which candidate is nearest, how alike pairs are, or whether they match.

        Args:
            data: pictures or texts, as `extract_embedding` takes them; without candidates, pairs.
            candidate_data: texts or pictures to choose from: a dict, data frame or list of one column.
            id_mappings: column → {identifier: content}.
            as_pandas: a series or not; by default where the data is a data frame.
            realtime: taken for AutoGluon's sake.
            save_results: taken for AutoGluon's sake.

        Returns:
            With candidates: int64 (n,), the place of the nearest. Pairs, zero-shot: float32 (n,), their cosines. Pairs,
            similarity: (n,), 1 where the cosine is above 0, which it nearly always is with a CLIP, else 0; or the `classes`. Where
            a picture was skipped: -1, NaN, and -1 or None.
        """
        given = columns.with_contents(columns.table(data), id_mappings, all_here=candidate_data is None)
        if candidate_data is not None:
            cosines = self._against(given, candidate_data, id_mappings)
            nearest = np.where(np.isnan(cosines), -np.inf, cosines).argmax(1)
            return self._shown(np.where(np.isnan(cosines).all(1), -1, nearest), given, as_pandas)
        cosines = self._of_pairs(given)
        if self._problem.matching:
            return self._shown(evaluation.matches(cosines, self.classes, self.match_label), given, as_pandas)
        return self._shown(cosines, given, as_pandas)

    def predict_proba(
        self,
        data: Any,
        candidate_data: Any = None,
        id_mappings: Mapping[str, Any] | None = None,
        as_pandas: bool | None = None,  # noqa: FBT001
        as_multiclass: bool = True,  # noqa: FBT001, FBT002
        realtime: bool | None = False,  # noqa: ARG002, FBT001, FBT002
    ) -> Any:
        """Say how likely each candidate is, or how likely pairs are to match.

        Args:
            data: pictures or texts, as `extract_embedding` takes them; without candidates, pairs.
            candidate_data: texts or pictures to choose from.
            id_mappings: column → {identifier: content}.
            as_pandas: a data frame or not; by default where the data is a data frame.
            as_multiclass: for similarity, both columns, or the probability to match alone (n,).
            realtime: taken for AutoGluon's sake.

        Returns:
            With candidates: float32 (n, candidates), the softmax of cosines times 100. Pairs, zero-shot: float32 (n,), the
            logistic function of their cosines, as with AutoGluon. Pairs, similarity: float32 (n, 2), not matching and matching, (1 + cosine) / 2: a scale, not a
            calibrated probability.
        """
        given = columns.with_contents(columns.table(data), id_mappings, all_here=candidate_data is None)
        if candidate_data is not None:
            return self._shown(
                _softmax(LOGIT_SCALE * self._against(given, candidate_data, id_mappings)), given, as_pandas
            )
        cosines = self._of_pairs(given)
        if not self._problem.matching:
            return self._shown(np.asarray(1 / (1 + np.exp(-cosines)), np.float32), given, as_pandas)
        if not as_multiclass:
            return self._shown((1 + cosines) / 2, given, as_pandas)
        chances = evaluation.chances(cosines, self.classes, self.match_label)
        return self._shown(chances, given, as_pandas, names=self.class_labels)

    def _against(self, given: Table, candidate_data: Any, id_mappings: Mapping[str, Any] | None) -> Rows:
        """Cosines of rows and candidates: (n, candidates)."""
        candidates = columns.with_contents(columns.table(candidate_data), id_mappings, all_here=False)
        if not len(candidates):
            raise UsageError("candidate_data is empty: give at least one candidate")
        asked = self._one(given, self._roles.others(given), "data")
        offered = self._one(candidates, self._roles.others(candidates), "candidate_data")
        return np.asarray(asked @ offered.T, np.float32)

    def _of_pairs(self, given: Table) -> Rows:
        """Cosines of the two sides of each row: (n,)."""
        if self._problem.matching:
            sides = [self._one(given, names, "a side of the pairs") for names in self._roles.pair(given)]
        else:
            sides = list(self._embedder.rows(given, self._roles.others(given))[0].values())
        if len(sides) != 2:  # noqa: PLR2004
            raise UsageError("there is nothing to compare with: give candidate_data, or pairs of a picture and a text")
        return np.asarray(np.einsum("nd,nd->n", *sides), np.float32)

    def _one(self, given: Table, names: Sequence[str], what: str) -> Rows:
        return embedding.only(self._embedder.rows(given, names)[0], what)

    def _shown(self, array: Any, given: Table, as_pandas: bool | None, names: Sequence[Any] | None = None) -> Any:  # noqa: FBT001
        """An array as it is, or as a series or data frame where that was asked for, or the data was one."""
        if not (given.index is not None if as_pandas is None else as_pandas):
            return array
        return arrays.frame(array, given.index, columns=names, name=self.label)

    def evaluate(
        self,
        data: Any,
        query_data: Any = None,
        response_data: Any = None,
        id_mappings: Mapping[str, Any] | None = None,
        metrics: str | Sequence[str] | None = None,
        chunk_size: int = 1024,  # noqa: ARG002  (AutoGluon's; memory is bounded without it)
        similarity_type: str = "cosine",
        cutoffs: Sequence[int] = (1, 5, 10),
        label: str | None = None,
        return_pred: bool = False,  # noqa: FBT001, FBT002
        realtime: bool | None = False,  # noqa: ARG002, FBT001, FBT002
    ) -> Any:
        """Say how good the ranking of responses, or the matching of pairs, is; for the three kinds of similarity.

        Args:
            data: pairs of query and response with a label; for ranking, those not there are not relevant.
            query_data: the distinct queries, one column; with it and `response_data` it is about ranking.
            response_data: the distinct responses, one column.
            id_mappings: column → {identifier: content}.
            metrics: for ranking those of `compute_ranking_score`, "automm" included (NDCG by default); for pairs
                "roc_auc" (the default), "accuracy", "f1".
            chunk_size: taken for AutoGluon's sake.
            similarity_type: "cosine" or "dot_prod".
            cutoffs: how many places of a ranking are looked at.
            label: the column with the label, or relevance; the predictor's own where it is None; for ranking "relevance" where
                there is such a column, else every pair of the data is relevant.
            return_pred: for pairs, also return what `predict` says.
            realtime: taken for AutoGluon's sake.

        Returns:
            Name of the metric → score; for ranking "metric@cutoff" → score. Pairs with a picture that was skipped are left out.
        """
        if not self._problem.matching:
            raise UsageError(f"{self.problem_type} cannot be evaluated: make a predictor for one of the similarities")
        asked = metrics if metrics is not None else self.eval_metric
        name = label or self.label
        given = columns.table(data)
        if name is not None and name not in given.columns:
            raise UsageError(f"the data has no column {name!r}: it has {', '.join(given.columns)}")
        if query_data is not None and response_data is not None:
            queries = columns.table(query_data, header=(self.query or ["query"])[0])
            responses = columns.table(response_data, header=(self.response or ["response"])[0])
            return evaluation.of_ranking(
                self, given, queries, responses, name, asked, cutoffs, similarity_type, id_mappings
            )
        if name is None:
            raise UsageError("say which column has the labels: label=")
        pairs = columns.with_contents(
            Table({n: c for n, c in given.columns.items() if n != name}, given.index), id_mappings
        )
        cosines = self._of_pairs(pairs)
        scores = evaluation.of_pairs(cosines, given.columns[name], self.classes, self.match_label, asked)
        if not return_pred:
            return scores
        return scores, self._shown(evaluation.matches(cosines, self.classes, self.match_label), given, None)

    # Keeping it ---------------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str], standalone: bool = True) -> None:  # noqa: FBT001, FBT002
        """Write the predictor into a folder, as JSON; standalone with a copy of the model's files.

        Raises:
            UsageError: the folder holds something else.
        """
        choices = {
            "problem_type": self.problem_type,
            "label": self.label,
            "query": self.query,
            "response": self.response,
            "match_label": self.match_label,
            "classes": self.classes,
            "eval_metric": self.eval_metric,
            "column_types": self.column_types,
            "hyperparameters": replace(self._settings, checkpoint="").as_hyperparameters(),
        }
        saved.write(_folder(path), choices, self._encoder.card.name, standalone=standalone)

    @classmethod
    def load(cls, path: str | os.PathLike[str], resume: bool = False, verbosity: int = 3) -> Self:  # noqa: ARG003, FBT001, FBT002
        """Make a predictor of what `save` wrote. No pickle is read; a folder of AutoGluon's is refused.

        Raises:
            UsageError: the folder holds no predictor of glimpse.
            ModelError: its model cannot be read, or fetched where it was not saved standalone.
        """
        choices, checkpoint = saved.read(_folder(path))
        hyperparameters = {**choices.pop("hyperparameters"), "model.clip.checkpoint_name": checkpoint}
        return cls(**choices, hyperparameters=hyperparameters, path=_folder(path), verbosity=verbosity)

    # What AutoGluon has and glimpse does not ------------------------------------------------------------------------------

    def export_onnx(self, *_: Any, **__: Any) -> Any:
        """Not yet."""
        raise NotImplementedError("export_onnx comes with the ONNX runtime (issue 5: every model, every engine)")

    def optimize_for_inference(self, *_: Any, **__: Any) -> Any:
        """Not needed: towers are compiled for the processor when they are first used."""
        raise NotImplementedError("optimize_for_inference is not needed: glimpse compiles the towers by itself")

    def fit(self, *_: Any, **__: Any) -> Any:
        """Not here: glimpse does not train."""
        raise NotImplementedError(
            "glimpse does not train: fit a CLIP with AutoGluon or open_clip, and load its checkpoint"
        )

    def fit_summary(self, *_: Any, **__: Any) -> Any:
        """Not here: glimpse does not train."""
        raise NotImplementedError("glimpse does not train, so there is nothing to sum up")

    def dump_model(self, *_: Any, **__: Any) -> Any:
        """Not here: `save` writes the model's own files."""
        raise NotImplementedError("dump_model is save(path): it writes the model's own files to path/model")


def _softmax(logits: Rows) -> Rows:
    """Chances (n, candidates); a candidate without a vector has none, and a row without one is NaN."""
    known = np.where(np.isnan(logits), -np.inf, logits)
    with np.errstate(invalid="ignore"):
        chances = np.exp(known - known.max(1, keepdims=True))
    return np.asarray(chances / chances.sum(1, keepdims=True), np.float32)


def _plain(label: Any) -> Any:
    """A label as Python has it, not as NumPy: it is compared, shown and saved."""
    return label.item() if isinstance(label, np.generic) else label


def _column_types(given: Mapping[str, str] | None) -> dict[str, Any]:
    if not isinstance(given, Mapping | None):
        raise UsageError("column_types is a dict: {'column': 'image' or 'text'}")
    for name, kind in (given or {}).items():
        if kind not in columns.COLUMN_TYPES:
            raise UsageError(f"column_types[{name!r}] is {kind!r}: choose 'image' or 'text'")
    return {name: columns.COLUMN_TYPES[kind] for name, kind in (given or {}).items()}


def _wants_bar() -> bool:
    return not {"AUTOMM_TUTORIAL_MODE", "AUTOMM_DISABLE_PROGRESS_BAR"} & os.environ.keys()


def _folder(path: str | os.PathLike[str]) -> Path:
    return Path(os.path.expanduser(path))  # noqa: PTH111  (Path's raises for no such user)
