"""The file: can it be written, is it safe where it lies, does it grow for a reason, is it whole?"""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

from dray.doctor.finding import Finding, note, ok, wrong
from dray.errors import SchemaMismatch
from dray.store.sqlite import schema
from dray.wording import count, size

MEBI = 1024 * 1024
SPARE = 100 * MEBI  # less free disk than this is too little for any store
LARGE_WAL = 128 * MEBI  # checkpoints begin at 16 MiB; a few times that is a burst, more is a reader in the way
WASTE = 64 * MEBI
NETWORK = (
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "fuse.s3fs", "fuse.gcsfuse", "9p", "ceph", "glusterfs", "fuse.glusterfs",
)  # fmt: skip
OLDEST = (3, 35)  # RETURNING


def examine_file(path: Path, url: str, *, deep: bool = False) -> tuple[list[Finding], bool]:
    """The findings, and whether the store can be opened to look into it."""
    found = [_writable(path), _bell(path), network(path), _library(sqlite3.sqlite_version_info), _synchronous(url), _disk(path)]
    try:
        connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None)
        try:
            inside, readable = _inside(connection, path, deep)
        finally:
            connection.close()
    except sqlite3.Error as error:
        text = "it is no SQLite database" if "not a database" in str(error) else f"SQLite says: {error}"
        fix = "Name another file with --url, or restore this one from a backup (`sqlite3 FILE .recover` saves what can be saved)."
        return [*found, wrong("file-readable", f"{path} cannot be read: {text}.", fix)], False
    return found + inside, readable


def _writable(path: Path) -> Finding:
    gate = path.with_name(path.name + "-gate")
    for place in (path, path.parent, *(extra for extra in (gate,) if extra.exists())):
        if not os.access(place, os.W_OK):
            message = f"{place} is not writable for this user ({_user()})."
            return wrong("file-writable", message, "Change its owner or mode, or run as the user that the workers run as.")
    return ok("file-writable", f"{path} and its folder are writable.")


def _user() -> str:
    return f"uid {os.getuid()}" if hasattr(os, "getuid") else "this one"


def _bell(path: Path) -> Finding:
    """Workers sleep on FIFOs in this folder; without them they look again and again."""
    folder = path.with_name(path.name + "-bell")
    fix = f"Make {folder} a folder that the users of all workers and of the application can write, on a file system with FIFOs."
    if not hasattr(os, "mkfifo"):
        return note("bell", "This system has no FIFOs: workers look for new jobs several times a second instead.")
    if not folder.exists():
        return ok("bell", "No process waits to be woken; the folder for it is made when one does.")
    trial = folder / f".doctor-{os.getpid()}"
    try:
        os.mkfifo(trial)
        trial.unlink()
    except OSError as error:
        message = f"No wake-up call can be left in {folder} ({error.strerror}): jobs start later than they could."
        return wrong("bell", message, fix)
    return ok("bell", f"Workers are woken through {folder.name}.")


def network(path: Path, mounts: Path = Path("/proc/mounts")) -> Finding:
    """WAL keeps its index in shared memory, which two machines do not share (https://sqlite.org/wal.html)."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return note("network", "The kind of file system is not known here.", "Make sure that it is a local disk.")
    best, kind = "", "unknown"
    for line in lines:
        fields = line.split()
        if len(fields) < 3:
            continue
        place = fields[1].replace("\\040", " ")
        inside = str(path) == place or str(path).startswith(place.rstrip("/") + "/")
        if inside and len(place) >= len(best):
            best, kind = place, fields[2]
    if kind in NETWORK:
        return wrong(
            "network", f"{path} lies on a network file system ({kind} at {best}), where SQLite's WAL mode can lose or damage data.",
            "Move the file to a local disk of one machine.",
        )
    return ok("network", f"The file lies on a local file system ({kind}).")


def _library(version: tuple[int, ...]) -> Finding:
    text = ".".join(map(str, version))
    if version < OLDEST:
        return wrong("sqlite-version", f"SQLite {text} is too old.", "Use a Python with SQLite 3.35 or newer.")
    # https://sqlite.org/wal.html, "The WAL-Reset Bug": 3.7.0 to 3.51.2, corrected in 3.51.3 and in 3.50.7 and 3.44.6.
    if version < (3, 51, 3) and not ((3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)):
        return note(
            "sqlite-version",
            f"SQLite {text} has the WAL-reset bug, which can damage a file if two connections checkpoint at the same instant; "
            "Dray's own connections take turns, but yours to the same file do not.",
            "Use a Python with SQLite 3.51.3 or newer (or 3.50.7, 3.44.6) if your code writes to this file too.",
        )
    return ok("sqlite-version", f"SQLite {text} has no known bug that matters here.")


def _synchronous(url: str) -> Finding:
    chosen = dict(parse_qsl(urlsplit(url).query)).get("synchronous", "full").lower()
    if chosen == "normal":
        return note(
            "synchronous", "synchronous=normal: a power cut can lose jobs that were enqueued in the last moments before it "
            "(a crash of a process cannot).", "Leave ?synchronous=normal out of the URL if no job may be lost.",
        )
    return ok("synchronous", f"synchronous={chosen}: what was enqueued survives a power cut.")


def _disk(path: Path) -> Finding:
    free, used = shutil.disk_usage(path.parent).free, _size(path)
    message = f"The disk has {size(free)} free; the file takes {size(used)}."
    if free < SPARE:
        return wrong("disk", message, "Free some space now: with a full disk nothing can be enqueued or finished.")
    if free < used:
        return note("disk", message, "A copy of the file (backup, VACUUM) would not fit: free some space.")
    return ok("disk", message)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _inside(connection: sqlite3.Connection, path: Path, deep: bool) -> tuple[list[Finding], bool]:
    usable, said = _schema(connection, path)
    found = [said]
    mode = connection.execute("pragma journal_mode").fetchone()[0]
    if mode == "wal":
        found.append(ok("journal-mode", "The journal mode is WAL."))
    else:
        message = f"The journal mode is {mode}, not wal: readers and writers block one another."
        found.append(wrong("journal-mode", message, "Switch it.", f"sqlite3 {path} 'pragma journal_mode=wal'"))
    found += [_wal(path), _freelist(connection, path)]
    if deep:
        try:
            answer = str(connection.execute("pragma quick_check").fetchone()[0])
        except sqlite3.DatabaseError as error:  # so damaged that even the check cannot go on
            answer = str(error)
        if answer == "ok":
            found.append(ok("integrity", "Every page of the file is sound."))
        else:
            fix = "Stop the workers, keep a copy, and restore a backup or use `sqlite3 FILE .recover`."
            found.append(wrong("integrity", f"The file is damaged: {answer.splitlines()[0]}.", fix))
    return found, usable


def _schema(connection: sqlite3.Connection, path: Path) -> tuple[bool, Finding]:
    newest, version = schema.newest(), schema.version(connection)
    try:
        schema.require(connection, str(path))
    except SchemaMismatch as error:
        return False, wrong("schema", str(error), "Bring it up to date.", "dray migrate" if version < newest else None)
    if version > newest:
        message = f"The schema is {version}, newer than the {newest} of this Dray, and still serves it."
        return True, note("schema", message, "Finish the roll-out of the newer version.")
    if version < newest:
        message = f"The schema is {version}, this version of Dray is written for {newest}; it works with both."
        return True, note("schema", message, "Bring it up to date.", "dray migrate")
    return True, ok("schema", f"The schema is up to date ({version}).")


def _wal(path: Path) -> Finding:
    bytes = _size(path.with_name(path.name + "-wal"))
    if bytes > max(LARGE_WAL, _size(path)):
        return wrong(
            "wal-size",
            f"The write-ahead log has grown to {size(bytes)}: a connection that reads for very long holds it back.",
            "Find and end that reader: a sqlite3 shell, a backup, a transaction left open in your code.",
            f"fuser -v {path}",
        )
    return ok("wal-size", f"The write-ahead log takes {size(bytes)}.")


def _freelist(connection: sqlite3.Connection, path: Path) -> Finding:
    names = ("freelist_count", "page_count", "page_size")
    free, pages, page = (connection.execute(f"pragma {name}").fetchone()[0] for name in names)
    if free * page > WASTE and free * 2 > pages:
        return note(
            "free-pages",
            f"{size(free * page)} of the file's {size(pages * page)} are unused; they are used again before it grows.",
            "To give them back to the disk, stop the workers and vacuum.", f"sqlite3 {path} vacuum",
        )
    return ok("free-pages", f"{count(pages, 'page')} in the file, {free:,} of them free.")
