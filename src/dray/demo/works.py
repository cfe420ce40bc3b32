"""The larger works that the site starts, and how far each is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from dray.demo import db, jobs, mailbox, migration, settings
from dray.demo.db import User
from dray.demo.states import of_job

FILM = "bigbuckbunny"


def start_newsletter(told: Callable[[int], None] | None = None) -> int:
    """Enqueue the next issue for all subscribers in bulk; gives the issue's number."""
    issue = newest_issue() + 1
    db.note_work("newsletter", str(issue))
    calls = (jobs.newsletter.call(issue, reader) for reader in range(1, db.SUBSCRIBERS + 1))
    jobs.app.enqueue_many(calls, progress=told)
    return issue


def newest_issue() -> int:
    return int(db.work("newsletter") or 0)


def start_video() -> str:
    """Enqueue the still and the small version of the film; gives the job's id."""
    handle = jobs.make_video.enqueue(FILM)
    db.note_work("video", handle.id)
    return handle.id


def start_migration(pause: float = 0.02) -> str:
    """Empty the new table and enqueue the migration from the first row on; gives the job's id.

    With the pause of 20 ms between batches the whole takes about 6 seconds, and others find their turn to write.
    """
    with db.connect() as connection, db.writing(connection):
        connection.execute("delete from contacts")
        connection.execute("update migration set cursor = 0, batches = 0, starts = 0")
        with jobs.app.bind(connection):
            handle = jobs.migrate.enqueue(pause)
    db.note_work("migration", handle.id)
    return handle.id


def start_weekly() -> str:
    handle = jobs.weekly_report.enqueue()
    db.note_work("weekly", handle.id)
    return handle.id


def start_clean(older_than: timedelta = timedelta(0)) -> str:
    handle = jobs.clean_up.enqueue(older_than)
    db.note_work("clean", handle.id)
    return handle.id


STARTERS: dict[str, Callable[[], object]] = {
    "newsletter": start_newsletter,
    "video": start_video,
    "migration": start_migration,
    "weekly": start_weekly,
    "clean": start_clean,
}


def overview() -> dict[str, Any]:
    """What the page of the larger works shows."""
    with db.connect() as connection:
        moved = migration.standing(connection)
    issue = newest_issue()
    noted = {name: of_job(name, job) for name in ("video", "migration", "weekly", "clean") if (job := db.work(name))}
    return {
        "issue": issue,
        "newsletters": len(mailbox.received(settings.folder("mail"), f"newsletter.{issue}.")) if issue else 0,
        "subscribers": db.SUBSCRIBERS,
        "moved": moved,
        "migration": noted.get("migration"),
        "film": noted.get("video"),
        "film_ready": (settings.folder("video") / f"{FILM}-360p.mp4").exists(),
        "notes": [noted[name] for name in ("weekly", "clean") if name in noted],
    }


def pictures_of(user: User) -> list[str]:
    """The file names of a user's finished pictures."""
    return sorted(path.name for path in user.pictures.glob("[!.]*"))


def newest_mails(limit: int) -> list[Path]:
    """The mails that were filed last, the newest first."""
    paths = [(path.stat().st_mtime_ns, path) for path in settings.folder("mail").glob("*.eml")]
    return [path for _, path in sorted(paths, reverse=True)[:limit]]
