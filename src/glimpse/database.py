"""The file of a collection as SQLite sees it: schema, opening, and errors as sentences that say what to do.

Knows neither vectors nor models; `collection.py` gives the tables their meaning.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from glimpse.errors import CollectionBusy, NotACollection, StorageError

_APPLICATION_ID = 0x676C696D  # "glim", in the header of the file
_VERSION = 3
_ITEMS = """
CREATE TABLE items (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    digest BLOB NOT NULL, origin TEXT NOT NULL, metadata TEXT NOT NULL, duration REAL, sampling TEXT NOT NULL,
    whole INTEGER NOT NULL
) STRICT;
CREATE TABLE failures (
    key TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, code TEXT NOT NULL, message TEXT NOT NULL,
    origin TEXT NOT NULL
) STRICT;
CREATE INDEX items_by_digest ON items (digest);
"""
_FRAMES = """
CREATE TABLE frames (
    id INTEGER PRIMARY KEY AUTOINCREMENT, item INTEGER NOT NULL REFERENCES items (id) ON DELETE CASCADE, time REAL NOT NULL,
    generation INTEGER NOT NULL REFERENCES generations (id), vector BLOB NOT NULL, UNIQUE (item, time)
) STRICT;
CREATE TABLE commits (id INTEGER PRIMARY KEY AUTOINCREMENT, stamp BLOB NOT NULL) STRICT;
INSERT INTO commits (stamp) VALUES (randomblob(8));
"""
# A picture is one frame at the time -infinity. `whole` is 0 while a film's frames are still being added. `origin` and `metadata` are JSON.
# The number of a frame is never given again, so that it names its vector for ever; a commit is named by a random stamp: what was derived
# from the tables at a commit that they still know can be brought up to date by the frames with higher numbers (`upkeep.py`).
_SCHEMA = f"""
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {_VERSION};
CREATE TABLE generations (
    id INTEGER PRIMARY KEY, model TEXT NOT NULL, fingerprint TEXT NOT NULL, dim INTEGER NOT NULL,
    precision TEXT NOT NULL, parity INTEGER NOT NULL
) STRICT;
{_ITEMS}{_FRAMES}"""
_FROM_1 = f"""
ALTER TABLE items RENAME TO old_items;
ALTER TABLE failures RENAME TO old_failures;
DROP INDEX items_by_digest;
{_ITEMS}{_FRAMES}
INSERT INTO items SELECT id, key, size, mtime_ns, digest, json_array('folder', key), '{{}}', NULL, '', 1 FROM old_items;
INSERT INTO frames (item, time, generation, vector) SELECT item, -9e999, generation, vector FROM vectors ORDER BY item;
INSERT INTO failures SELECT key, size, mtime_ns, code, message, json_array('folder', key) FROM old_failures;
DROP TABLE vectors;
DROP TABLE old_failures;
DROP TABLE old_items;
PRAGMA user_version = {_VERSION};
"""  # noqa: S608  (all of it is ours)
_FROM_2 = f"""
ALTER TABLE frames RENAME TO old_frames;
{_FRAMES}
INSERT INTO frames SELECT id, item, time, generation, vector FROM old_frames ORDER BY id;
DROP TABLE old_frames;
PRAGMA user_version = {_VERSION};
"""  # noqa: S608
_UPGRADES = {1: _FROM_1, 2: _FROM_2}


def connect(path: Path) -> sqlite3.Connection:
    """Open a collection's file, or make it; read-only where it cannot be written.

    Raises:
        NotACollection: the file is damaged or something else.
        StorageError: it cannot be opened or made there.
    """
    with explained(path):
        if path.is_dir():
            raise StorageError(f"{path} is a folder: name a file for the collection, such as {path / 'photos.db'}")
        is_new = not path.exists() or path.stat().st_size == 0
        if is_new:
            _make_folder(path.parent)
        writable = os.access(path.parent, os.W_OK) and (is_new or os.access(path, os.W_OK))
        if is_new and not writable:
            raise StorageError(f"{path} cannot be made: {path.parent} is read-only. Name another place")
        db = _connect_to_write(path) if writable else _connect_read_only(path)
        try:
            if writable and _is_empty(db):
                _create(db)
            _check(db, path, writable=writable)
        except BaseException:
            db.close()
            raise
        return db


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, and have the disk know of each before anything is in it."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    above = os.open(folder.parent, os.O_RDONLY)
    try:
        os.fsync(above)
    finally:
        os.close(above)


def _connect_to_write(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=10, isolation_level=None)
    try:
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA synchronous = FULL")  # in WAL mode: a commit is on the disk when it returns
    except BaseException:  # it looks into the file already, for which a full disk may have no room
        db.close()
        raise
    return db


def _connect_read_only(path: Path) -> sqlite3.Connection:
    """Open what cannot be written; without a log beside it, the file cannot change either (a CD, a snapshot)."""
    has_log = Path(f"{path}-wal").exists()
    mode = "mode=ro" if has_log else "mode=ro&immutable=1"
    return sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, timeout=10, isolation_level=None)


def _is_empty(db: sqlite3.Connection) -> bool:
    """Whether nobody has made anything of the file yet; a process may have been killed between opening and making."""
    tables, application = db.execute(
        "SELECT count(*), (SELECT * FROM pragma_application_id) FROM sqlite_master"
    ).fetchone()
    return bool(tables == application == 0)


def _create(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA journal_mode = WAL")
    with transaction(db):
        if _is_empty(db):  # nobody else was quicker
            _run(db, _SCHEMA)


def _run(db: sqlite3.Connection, script: str) -> None:
    for statement in script.split(";"):
        db.execute(statement)


def _check(db: sqlite3.Connection, path: Path, *, writable: bool) -> None:
    (application,) = db.execute("PRAGMA application_id").fetchone()
    if application != _APPLICATION_ID:
        raise NotACollection(f"{path} is not a glimpse collection, it belongs to another program: name another file")
    if _version_of(db) in _UPGRADES and writable:
        _upgrade(db)
    version = _version_of(db)
    if version < _VERSION:
        raise StorageError(f"{path} is of an older glimpse and cannot be brought up to date: it is read-only. Copy it")
    if version > _VERSION:
        raise NotACollection(f"{path} was made by another version of glimpse (format {version}): update glimpse")


def _version_of(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _upgrade(db: sqlite3.Connection) -> None:
    """Format 1 had pictures only, whose keys were their paths; format 2 gave the numbers of frames that were gone again."""
    db.execute("PRAGMA foreign_keys = OFF")
    with transaction(db):
        if script := _UPGRADES.get(_version_of(db)):  # nobody else was quicker
            _run(db, script)
    db.execute("PRAGMA foreign_keys = ON")


_FULL = "the disk is full: make room and run it again, what was stored before is kept"
_SENTENCES = (
    (sqlite3.SQLITE_FULL, StorageError, _FULL),
    (sqlite3.SQLITE_IOERR_SHMSIZE, StorageError, _FULL),  # no room for what processes share
    (sqlite3.SQLITE_READONLY, StorageError, "it is read-only: check its permissions, or copy it to another place"),
    (sqlite3.SQLITE_BUSY, StorageError, "another process is writing to it: wait for that one to end"),
    (sqlite3.SQLITE_LOCKED, StorageError, "another process is writing to it: wait for that one to end"),
    (sqlite3.SQLITE_CANTOPEN, StorageError, "it cannot be opened: check the folder and its permissions"),
    (sqlite3.SQLITE_IOERR, StorageError, "the disk cannot be read or written: check its health and free space"),
    (sqlite3.SQLITE_NOTADB, NotACollection, "it is not a glimpse collection: name another file"),
    (sqlite3.SQLITE_CORRUPT, NotACollection, "it is damaged: restore it from a copy, or index into another file"),
)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what SQLite and the system say into a sentence that says what to do."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0)
        for known, kind, sentence in _SENTENCES:
            if known in {code, code & 0xFF}:
                raise kind(f"{path}: {sentence}") from error
        raise NotACollection(
            f"{path}: it is not a whole glimpse collection: restore it, or name another file"
        ) from error
    except OSError as error:
        raise StorageError(f"{path} cannot be made or opened ({error.strerror}): name another place") from error


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Be the only process that indexes into a collection; a lock that the system takes away from a process that dies.

    Raises:
        CollectionBusy: another process does.
    """
    lock = Path(f"{os.path.realpath(path)}-lock")
    with ExitStack() as held:
        with explained(path):
            got = held.enter_context(_locked(lock))
        if not got:
            raise CollectionBusy(f"another process is indexing into {path}: wait for it to end, and run this again")
        yield


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Hold a file's lock, and take the file away afterwards; says whether nobody else held it."""
    import fcntl  # noqa: PLC0415  (Unix)

    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        if _is_there(file, path):
            try:
                yield True
            finally:
                path.unlink(missing_ok=True)
            return
    with _locked(path) as got:
        yield got


def _is_there(file: IO[str], path: Path) -> bool:
    """Whether a path still leads to an open file: the one before may have taken it away since it was opened."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def snapshot(db: sqlite3.Connection) -> Iterator[None]:
    """See one moment: what other processes commit meanwhile is not seen within; one inside another is the same moment."""
    if db.in_transaction:
        yield
        return
    db.execute("BEGIN")
    try:
        yield
    finally:
        db.execute("COMMIT")


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All or nothing; an error, whatever its kind, leaves the file as it was."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # SQLite may have rolled back by itself
            db.execute("ROLLBACK")
        raise
