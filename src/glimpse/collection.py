"""A collection: one SQLite file with items, their vectors, what failed and why, and which model made it all.

The file is the truth: in WAL mode, a batch is one transaction, what has been acknowledged is on the disk, and when the last
user closes it, it is a single file that can be copied. A picture has one vector, a film one for each of its sampled frames. Knows
neither folders nor decoders; `pipeline` brings those.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glimpse import finding
from glimpse.errors import (
    BadItem,
    GlimpseError,
    MissingExtra,
    ModelMismatch,
    ModelNotFound,
    NotACollection,
    UsageError,
)
from glimpse.finding import Wanted
from glimpse.search.recall import captions
from glimpse.store import Generation, Store
from glimpse.upkeep import Upkeep
from glimpse.values import (
    FAILURE_CODES,
    Embedding,
    Failure,
    Filter,
    Hit,
    Item,
    Progress,
    Report,
    Rows,
    Sampling,
    SearchFacts,
    Selection,
)

if TYPE_CHECKING:  # imported when a model is first needed: a search by key or vector needs none
    from glimpse.encoder import Encoder
    from glimpse.inputs import PictureLike

DEFAULT_MODEL = "ViT-B-32-256/datacomp_s34b_b86k"


class Collection:
    """Pictures by their vectors, in one file. Use it as a context manager, or call `close`.

    Not for several threads at once; several processes may read while one writes.

    Attributes:
        path: of the file.
        store: its tables, for the pipeline.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        model: "Encoder | str | os.PathLike[str] | None" = None,
        *,
        create: bool = True,
    ) -> None:
        """Open a collection, or make it.

        Args:
            path: the file.
            model: an encoder, or the name of one (see `glimpse.load`). None: the one that made the collection, and
                for a new one ViT-B-32-256/datacomp_s34b_b86k. Named models are loaded when they are first needed.
            create: make the file where there is none.

        Raises:
            NotACollection: the file is damaged or something else.
            ModelMismatch: another model made it.
            StorageError: it cannot be opened or made there.
            UsageError: there is no such file, and `create` is False.
        """
        self.path = Path(os.path.abspath(os.path.expanduser(path)))  # noqa: PTH100, PTH111  (Path's raise)
        self._asked = model
        self._encoder: Encoder | None = None
        if not create and not os.path.exists(self.path):  # noqa: PTH110  (Path's raises)
            raise UsageError(f"there is no collection {self.path} yet: `glimpse index FOLDER` makes one")
        self.store = Store(self.path)
        self._upkeep = Upkeep(self.store, self._captions)
        if model is not None and not isinstance(model, str | os.PathLike):
            try:
                self.use(model)
            except BaseException:
                self.close()
                raise

    # What it holds ----------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """How many vectors there are: one for a picture, one for each frame of a film."""
        return len(self.store)

    def __iter__(self) -> Iterator[str]:
        """Keys of pictures and of frames, in order."""
        return iter(self.store.keys())

    def __contains__(self, key: object) -> bool:
        """Whether there is a vector under this key: a picture's, a film's, or that of a film's frame."""
        return isinstance(key, str | os.PathLike) and bool(self.store.places(os.fspath(key)))

    def vectors(self) -> tuple[list[str], Rows]:
        """All vectors: keys in order, and float32 (n, dim) rows of unit length, each at its key's place."""
        return self.store.everything()

    def counts(self) -> dict[str, int]:
        """How many "pictures" and "films" there are, how many "frames" films have, and how many items "failed"."""
        return self.store.counts()

    def failures(self, *codes: str) -> list[Failure]:
        """What could not be used and why, in the order of keys; with codes, only what failed for these reasons.

        Raises:
            UsageError: there is no such code.
        """
        strange = [code for code in codes if code not in FAILURE_CODES]
        if strange:
            raise UsageError(f"nothing fails with {strange[0]!r}: choose from {', '.join(FAILURE_CODES)}")
        return [failure for failure in self.store.failures() if not codes or failure.code in codes]

    @property
    def generation(self) -> Generation | None:
        """Which model made the vectors; None before the first of them."""
        return self.store.generation

    @property
    def encoder(self) -> "Encoder":
        """The model of this collection, loaded when first asked for.

        Raises:
            ModelMismatch: the model asked for is not the one that made the vectors.
            ModelError: it cannot be loaded.
        """
        if self._encoder is None:
            from glimpse.encoder import load  # noqa: PLC0415  (see TYPE_CHECKING above)

            made_by = self.generation
            name = self._asked or (made_by.model if made_by else DEFAULT_MODEL)
            try:
                loaded = self._load(load, name, made_by)
            except ModelNotFound as error:
                raise ModelNotFound(
                    f"{error} ({self.path} was made with {name}; if it moved, name it as the model)"
                ) from error
            self._encoder = self._checked(loaded)
        return self._encoder

    def _load(self, load: "Callable[..., Encoder]", name: Any, made_by: Generation | None) -> "Encoder":
        """In int8 where the vectors are, for what may be added; where there is no int8, searching goes on without."""
        parity = bool(made_by and made_by.parity)
        if made_by and made_by.precision == "int8":
            with suppress(UsageError, MissingExtra):
                return load(name, parity=parity, precision="int8")
        return load(name, parity=parity)

    def use(self, encoder: "Encoder") -> None:
        """Take a loaded model for this collection.

        Raises:
            ModelMismatch: it is not the one that made the vectors.
        """
        self._encoder = self._checked(encoder)

    def _checked(self, encoder: "Encoder", *, adding: bool = False) -> "Encoder":
        """Hold a model against the one that made the vectors; to add some, also its class of precision."""
        made_by = self.generation
        if made_by and made_by.fingerprint.partition("+")[0] != encoder.fingerprint.partition("+")[0]:
            raise ModelMismatch(
                f"{self.path} was made with {made_by.model}{_difference(made_by, encoder)}: vectors of two models cannot be "
                "compared. Use that model, or another collection file"
            )
        if made_by and adding and not encoder.mixed and made_by.fingerprint != encoder.fingerprint:
            also = ", calibrated by other pictures" if made_by.precision == encoder.precision else ""
            raise ModelMismatch(
                f"{self.path} was made in {made_by.precision}, and this is {encoder.precision}{also}: use another collection"
                " file, or say that they may be mixed (--mix-int8, or mixed=True where the model is loaded)"
            )
        return encoder

    # Indexing ---------------------------------------------------------------------------------------------------------

    def index(
        self,
        *places: str | os.PathLike[str],
        selection: Selection = Selection(),  # noqa: B008  (frozen)
        sampling: Sampling | None = None,
        min_side: int = 1,
        progress: Callable[[Progress], object] | None = None,
        stop: Callable[[], bool] = lambda: False,
        retry_failed: bool = False,
    ) -> Report:
        """Bring the collection up to date with places; what has not changed is not read again.

        Args:
            places: files, folders, globs, tar archives, tables, URLs (docs/sources.md); formats are told by content.
            selection: which of the things in these places are meant.
            sampling: which frames of films are looked at. None: as they were before; shots where they are new.
            min_side: pictures with a shorter side, in pixels, are failures ("too-small").
            progress: called now and then.
            stop: asked after every batch; when it says True, what is done is kept and the report says "stopped".
            retry_failed: try again what failed before, though the files have not changed.

        Raises:
            UsageError: a place is not there, or holds nothing.
            CollectionBusy: another process is indexing into this collection.
            ModelError, CollectionError: the model cannot be loaded, or the file cannot be written.
        """
        from glimpse import pipeline  # noqa: PLC0415  (they build on this module)
        from glimpse.run import Wishes  # noqa: PLC0415

        self._checked(self.encoder, adding=True)  # before anything is decoded
        return pipeline.index(
            self,
            [os.fspath(place) for place in places],
            Wishes(selection, sampling, min_side, retry_failed=retry_failed),
            progress=progress,
            stop=stop,
        )

    def watch(
        self,
        *places: str | os.PathLike[str],
        selection: Selection = Selection(),  # noqa: B008  (frozen)
        sampling: Sampling | None = None,
        min_side: int = 1,
        stop: Callable[[], bool] = lambda: False,
        retry_failed: bool = False,
    ) -> Iterator[Report]:
        """Follow changes of files and folders, and keep the collection current with them; see `index` for the arguments.

        Yields:
            A report for every round in which something changed, until `stop` says True. The first round looks at everything.

        Raises:
            UsageError: a place is no file or folder of this machine.
            MissingExtra: watchfiles is not installed (the extra `watch`).
        """
        from glimpse import watching  # noqa: PLC0415  (they build on this module)
        from glimpse.run import Wishes  # noqa: PLC0415

        wishes = Wishes(selection, sampling, min_side, retry_failed=retry_failed)
        return watching.watch(self, [os.fspath(place) for place in places], wishes, stop)

    def add(
        self,
        embedded: Sequence[Embedding],
        rows: Rows,
        *,
        finished: Sequence[tuple[Item, float | None]] = (),
        failed: Sequence[tuple[Item, bytes, Failure]] = (),
        renamed: Sequence[tuple[str, Item]] = (),
    ) -> None:
        """Store a batch in one transaction: on the disk when this returns, or not at all.

        Args:
            embedded: what each row is of.
            rows: float32 (n, dim), finite, of unit length.
            finished: films that have all their frames now, each with its duration in seconds.
            failed: items that could not be used, with the digest of their content if it was read. Of a film that broke, the frames
                that were added from the same content stay.
            renamed: old keys with the items that have their content now, under the same key or another.
        """
        if len(embedded) != len(rows) or not np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-3):
            raise UsageError(f"{len(embedded)} items need as many finite rows of unit length, not these {len(rows)}")
        encoder = self.encoder
        now = Generation(encoder.card.name, encoder.fingerprint, encoder.dim, encoder.precision, encoder.parity)
        with self.store.transaction():
            self._checked(encoder, adding=True)  # another process may have been quicker with another model
            for old, item in renamed:
                self.store.rename(old, item)
            generation = self.store.generation_id(now) if embedded else 0
            for what, vector in zip(embedded, rows.astype(np.float16), strict=True):
                self.store.put(what, generation, vector.tobytes())
            for item, duration in finished:
                self.store.finish(item, duration)
            for item, digest, failure in failed:
                self.store.fail(item, digest, failure)

    def remove(self, keys: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> int:
        """Take items, and what is recorded of failures, out by key; returns how many items or failures there were."""
        several = [keys] if isinstance(keys, str | os.PathLike) else list(keys)
        with self.store.transaction():
            return sum(self.store.remove(os.fspath(key)) for key in several)

    # Searching --------------------------------------------------------------------------------------------------------

    def search(
        self,
        query: "str | PictureLike | NDArray[np.floating[Any]] | None" = None,
        *,
        key: str | None = None,
        k: int = 10,
        among: Filter = Filter(),  # noqa: B008  (frozen)
        frames: bool = False,
        moments: bool = False,
    ) -> list[Hit]:
        """Find the items closest to a query, best first; equal scores are ordered by key. A film is found by its best frame.

        Of a large collection equal scores are ordered by key as far as they are compared (docs/search.md).

        Args:
            query: what kind it is, its type says: a `str` is a text; a `Path`, bytes, a Pillow picture or a uint8
                array is a picture; a float array (dim,) is a vector.
            key: instead of a query, an item or a frame of the collection; its item is not among its own hits.
            k: how many at most.
            among: which items may be found; the others are not looked at.
            frames: find frames rather than films: several of one film may be among the hits.
            moments: say of films which parts answer the query.

        Raises:
            UsageError: no such key, no query or an empty text, a filter of no kind, or a vector that does not fit.
            BadItem: the picture cannot be decoded.
            StorageError: what a search of very many vectors needs cannot be written beside the collection.
        """
        if (query is None) == (key is None):
            raise UsageError("give a query or a key: search('a carriage') or search(key='/photos/1.jpg')")
        _check_filter(among)
        if key is None and self.generation is None:
            return []
        wanted = Wanted(k, frames, moments)
        if key is not None:
            return self._hits(lambda: self._row_of(key)[None], wanted, among, without=key)[0]
        ask = self._embedder(query)
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(ask)  # a cold model gets ready while what is searched is opened
            found = self._hits(lambda: asked.result()[None], wanted, among)
        if isinstance(query, str):
            self._upkeep.remember(asked.result()[None])
        return found[0]

    def search_many(
        self,
        queries: "Sequence[str] | NDArray[np.floating[Any]]",
        *,
        k: int = 10,
        among: Filter = Filter(),  # noqa: B008  (frozen)
        frames: bool = False,
    ) -> list[list[Hit]]:
        """Search for many texts or vectors at once, which takes much less time than one after the other.

        Args:
            queries: texts, or a float array (q, dim).
            k: how many hits at most, for each.
            among: which items may be found.
            frames: find frames rather than films.

        Returns:
            The hits of each query, in the order of queries.

        Raises:
            UsageError: an empty text, or vectors that do not fit.
        """
        _check_filter(among)
        if self.generation is None or not len(queries):
            return [[] for _ in queries]
        if isinstance(queries, np.ndarray):
            rows = np.stack([self._unit(query) for query in queries])
        elif isinstance(queries, str) or not all(isinstance(query, str) and query.strip() for query in queries):
            raise UsageError("search_many takes a list of texts, none of them empty, or a float array (q, dim)")
        else:
            rows = self.encoder.texts(queries)
        found = self._hits(lambda: rows, Wanted(k, frames), among)
        if not isinstance(queries, np.ndarray):
            self._upkeep.remember(rows)
        return found

    def _hits(
        self, ask: Callable[[], Rows], wanted: Wanted, among: Filter, *, without: str | None = None
    ) -> list[list[Hit]]:
        """What is found in one moment, twice if the files that are searched turn out to be wrong."""
        for _ in range(2):
            try:
                with self._upkeep.seen() as index:
                    own = None if without is None else self.store.number_of(without)
                    return finding.hits(self.store, index, ask(), replace(wanted, without=own), among)
            except ValueError:  # somebody changed the files beside the collection, or the disk did
                self._upkeep.distrust()
        raise NotACollection(
            f"{self.path}: a vector in it is damaged: restore it from a copy, or index into another file"
        )

    def prepare_search(self) -> None:
        """Get ready what a search of many vectors needs, so that the first one need not wait; fit it to what was asked so far.

        Indexing does it at its end. Where there are few vectors, nothing needs to be done.
        """
        with suppress(GlimpseError):  # without a model, nothing is measured, and all vectors are compared
            _ = self.encoder
        self._upkeep.fit()

    def search_facts(self) -> SearchFacts | None:
        """How well a large collection is searched, as it was measured; None where few vectors are searched exactly.

        Reads the files that it is searched with, to be sure that they are whole: a second for each gigabyte.
        """
        return self._upkeep.facts()

    def _captions(self) -> Rows:
        """Texts like those that are asked, as this collection's model sees them; none where it is not loaded, for that may take long."""
        if self._encoder is None:
            return np.empty((0, self.generation.dim if self.generation else 0), np.float32)
        return self._encoder.texts(captions())

    def _row_of(self, key: str) -> NDArray[np.float32]:
        """The vector stored under a key; of a film, the mean of its frames'."""
        places = self.store.places(key)
        if not places:
            raise UsageError(f"there is no item {key} in {self.path}")
        row = self.store.rows(places).mean(0)
        return np.asarray(row / np.linalg.norm(row), np.float32)

    def thumbnail(self, key: str, size: int = 320) -> Image.Image:
        """A small picture of an item, or of a film's frame, decoded anew from where it came from.

        Args:
            key: of a picture, a frame (`film.mp4#t=12.480`), or a film, which is shown by its first frame.
            size: its longer side in pixels, at most.

        Raises:
            UsageError: there is no such key.
            BadItem: the file is gone, or cannot be decoded any more.
        """
        from glimpse import pipeline  # noqa: PLC0415  (it builds on this module)

        name, time = self.store.shown_by(key)
        item = self.store.item(name)
        if item is None:
            raise UsageError(f"there is no item {key} in {self.path}")
        try:
            return pipeline.thumbnail(item, time, size)
        except BadItem as error:
            raise BadItem(error.code, error.message, key) from error

    def _embedder(self, query: Any) -> Callable[[], NDArray[np.float32]]:
        """What makes a query's row, in any thread: the file is not touched by it."""
        if isinstance(query, np.ndarray) and np.issubdtype(query.dtype, np.floating):
            row = self._unit(query)
            return lambda: row
        if isinstance(query, str):
            if not query.strip():
                raise UsageError("the search text is empty: say what to look for")
            encoder = self.encoder
            return lambda: encoder.texts([query])[0]
        if isinstance(query, os.PathLike | bytes | Image.Image | np.ndarray):
            encoder = self.encoder
            return lambda: encoder.images([query])[0]
        raise UsageError(f"a {type(query).__name__} is no query: give a text, a Path, a picture or a float vector")

    def _unit(self, vector: NDArray[Any]) -> NDArray[np.float32]:
        made_by = self.generation
        length = float(np.linalg.norm(vector.astype(np.float64)))
        if made_by is None or vector.shape != (made_by.dim,) or not np.isfinite(length) or length == 0:
            dim = made_by.dim if made_by else "?"
            raise UsageError(
                f"a query vector has shape ({dim},), is finite and not all zero; this one is {vector.shape}"
            )
        return np.asarray(vector.astype(np.float64) / length, np.float32)

    # Ending -----------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the file; SQLite folds the write-ahead log into it."""
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Collection {self.path}: {len(self)} items>"


def _difference(made_by: Generation, encoder: "Encoder") -> str:
    if made_by.model != encoder.card.name:
        return f", not {encoder.card.name}"
    if made_by.parity != encoder.parity:
        return f" and parity={made_by.parity}"
    return ", whose files or preprocessing have changed since"


_NUMBERS = 2.0**63  # SQLite's


def _check_filter(among: Filter) -> None:
    if among.kind not in ("", "picture", "film"):
        raise UsageError(f"there are no items of kind {among.kind!r}: choose picture or film")
    moments = [limit * 1e9 for limit in (among.after, among.before) if limit is not None]
    for value in [among.prefix, *among.metadata, *among.metadata.values(), *moments]:
        if not _is_searchable(value):
            raise UsageError(f"no item can have {value!r}: give a text, a number or a truth")


def _is_searchable(value: object) -> bool:
    if isinstance(value, str):
        return value == value.encode(errors="ignore").decode()
    return isinstance(value, int | float) and abs(value) < _NUMBERS
