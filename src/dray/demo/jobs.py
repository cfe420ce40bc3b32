"""The tasks. `dray worker dray.demo.jobs:app` runs them; the site enqueues them, or calls them plainly to work inline.

A job can run more than once (a worker may die between the work and the note that it is done), so each effect has a
key: a mail its Message-ID, a file its name, a row its primary key, the partner's customer its Idempotency-Key. A count
has no such key; it is kept exactly by `transactional=True`.
"""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

from dray import Backoff, Dray, current_job, resource
from dray.demo import db, mail, migration, report, settings
from dray.demo.partner_api import PartnerClient, PartnerRefused

app = Dray(settings.store_url())
PATIENT = Backoff.exponential(0.3, cap=3)  # the partner fails often and recovers at once


@app.resource("partner")
async def partner_client() -> AsyncIterator[PartnerClient]:
    async with PartnerClient() as client:
        yield client


@app.resource("mailer")
def mailer() -> Iterator[mail.Mailer]:
    made = mail.Mailer()
    yield made
    made.close()


@app.task(queue="mail", priority=10, backoff=Backoff.exponential(0.5, cap="1m"), give_up_on=(LookupError,))
def send_welcome(user_id: int) -> str:
    """Send the welcome mail; gives its Message-ID."""
    user = db.user(user_id)
    message = mail.welcome(user.id, user.name, user.email)
    mail.send(message)
    db.keep(user.id, "welcome", message["Message-ID"])
    return str(message["Message-ID"])


@app.task(queue="media", executor="process", timeout="30s", give_up_on=(LookupError,))
def render_report(user_id: int) -> str:
    """Write the profile report as a PDF; gives its file name."""
    user = db.user(user_id)
    settings.folder("reports")
    settings.write_whole(user.report, report.profile(user.id, user.name, user.email, user.joined))
    db.keep(user.id, "report", user.report.name)
    return user.report.name


@app.task(queue="media", executor="process", timeout="30s", memory_limit="1GiB", give_up_on=(LookupError, ValueError))
def make_pictures(user_id: int) -> list[str]:
    """Resize and watermark the uploaded photograph; gives the file names."""
    from dray.demo import pictures

    user = db.user(user_id)
    names = pictures.make(user.upload, user.pictures)
    db.keep(user.id, "pictures", " ".join(names))
    return names


@app.task(queue="partner", backoff=PATIENT, timeout="20s", give_up_on=(LookupError, PartnerRefused))
async def tell_partner(user_id: int, *, partner: PartnerClient = resource("partner")) -> str:
    """Tell the partner of the new user; gives the partner's reference. A failure is left to the backoff."""
    user = await asyncio.to_thread(db.user, user_id)
    reference = await partner.create(f"user-{user.id}", user.name, user.email)
    await asyncio.to_thread(db.keep, user.id, "partner", reference)
    return reference


@app.task(transactional=True)
def count_sign_up(mode: str, connection: sqlite3.Connection | None = None) -> None:
    """Add one to the number of sign-ups, on the connection that the worker gives: the job's success is written in the
    same transaction, so each is counted exactly once.
    """
    assert connection is not None, "called plainly, it is given a connection by its caller"
    connection.execute(
        "insert into tally values (?, 1) on conflict (mode) do update set sign_ups = sign_ups + 1", (mode,)
    )


@app.task(queue="bulk", priority=-10, backoff=Backoff.exponential(0.5, cap="1m"), give_up_on=(LookupError,))
def newsletter(issue: int, subscriber_id: int, *, mailer: mail.Mailer = resource("mailer")) -> None:
    """Send one reader's copy of an issue."""
    name, email = db.subscriber(subscriber_id)
    mailer.send(mail.newsletter(issue, subscriber_id, name, email))


@app.task(queue="media", executor="process", timeout="2m", memory_limit="1GiB", give_up_on=(FileNotFoundError,))
def make_video(name: str) -> list[str]:
    """Take a still from a film and make a small version of it, in a process that can be killed."""
    from dray.demo import video

    source, target = settings.MEDIA / f"{name}.mp4", settings.folder("video")
    video.still(source, target / f"{name}.jpg")
    job = current_job()
    video.transcode(source, target / f"{name}-360p.mp4", lambda done, total: job.progress(done, total, "frames"))
    return [f"{name}.jpg", f"{name}-360p.mp4"]


@app.task(queue="slow", executor="thread")
def migrate(pause: float = 0.0) -> int:
    """Move the old rows batch by batch and rest `pause` seconds after each; started again, it goes on where it was."""
    job = current_job()
    with db.connect() as connection:
        standing = migration.start(connection)
        moved = standing.cursor
        job.log(f"start {standing.starts}: {moved:,} of {standing.total:,} rows are already moved")
        while moved < standing.total and not job.cancelled:
            moved = migration.move_batch(connection)
            job.progress(moved, standing.total, "rows")
            time.sleep(pause)
    return moved


@app.schedule("0 7 * * mon", tz="Europe/Berlin", catch_up="one", overlap="skip")
@app.task(queue="mail")
def weekly_report() -> str:
    """Mail the week's numbers to the team, as a PDF with a chart; gives the Message-ID."""
    today = datetime.now(UTC).date()
    users, results = db.users(), db.results().values()
    kinds = ("welcome", "report", "pictures", "partner")
    counts = [("Sign-ups", len(users))] + [(kind.title(), sum(kind in done for done in results)) for kind in kinds]
    year, week, _ = today.isocalendar()
    message = mail.weekly(year, week, report.week(today, counts))
    mail.send(message)
    return str(message["Message-ID"])


@app.schedule("every 1h", overlap="skip", args={"older_than": timedelta(days=1)})
@app.task
def clean_up(older_than: timedelta) -> int:
    """Remove uploads whose pictures are made, and half-written files, once they are older than that; gives how many."""
    limit = datetime.now(UTC).timestamp() - older_than.total_seconds()
    results = db.results()
    done = {user.photo for user in db.users() if "pictures" in results.get(user.id, {})}
    files = [path for path in settings.folder("uploads").iterdir() if path.name in done]
    files += settings.data().glob("*/.*.part")
    old = [path for path in files if path.stat().st_mtime <= limit]
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)
