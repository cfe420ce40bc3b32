"""The auditor: looks at every result itself (files, mails, rows, the partner's books), not at the states of jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from dray.demo import db, mail, mailbox, migration, pictures, report, settings, video, works
from dray.demo.db import User


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: whether it is right, and what was seen."""

    subject: str
    right: bool
    seen: str


@dataclass
class Audit:
    """What has been found so far."""

    findings: list[Finding] = field(default_factory=list)

    @property
    def wrong(self) -> list[Finding]:
        return [finding for finding in self.findings if not finding.right]

    def expect(self, subject: str, right: bool, seen: str) -> None:
        self.findings.append(Finding(subject, right, seen))

    @contextmanager
    def guarded(self, subject: str) -> Iterator[None]:
        """An error while looking is itself a finding."""
        try:
            yield
        except Exception as error:
            self.expect(subject, False, f"{type(error).__name__}: {error}")


def share(good: int, of: int, what: str) -> str:
    return f"{good:,} of {of:,} {what}"


def sign_ups(audit: Audit, mode: str, answered: Iterable[int]) -> None:
    """Every sign-up that was answered with success is kept; every one that is kept has its mail, report and pictures.

    The latter holds for those too whose visitors had given up: the site, or the worker, has done their work all the same.
    """
    ids = set(answered)
    users = [user for user in db.users() if user.mode == mode]
    kept = len(ids & {user.id for user in users})
    seen = f"{share(kept, len(ids), 'answered sign-ups are kept')}, {len(users):,} in all"
    audit.expect(f"{mode}: records", kept == len(ids) and bool(users), seen)
    welcome_mails(audit, mode, users)
    for name, test in (("reports", whole_report), ("pictures", right_pictures)):
        with audit.guarded(f"{mode}: {name}"):
            faults = [fault for user in users if (fault := test(user))]
            seen = share(len(users) - len(faults), len(users), WHAT[name])
            audit.expect(f"{mode}: {name}", not faults, f"{seen}; {faults[0]}" if faults else seen)


WHAT = {
    "reports": "are PDF files of two pages",
    "pictures": f"sets of {len(pictures.SIZES)} pictures, each of the right size and format",
}


def welcome_mails(audit: Audit, mode: str, users: list[User]) -> None:
    received = mailbox.received(settings.folder("mail"), "welcome.")
    mails = [received.get(f"welcome.{user.id}", 0) for user in users]
    twice = sum(mails) - sum(count > 0 for count in mails)
    seen = share(sum(count > 0 for count in mails), len(users), "were received")
    seen += f", {twice} of them once more after a kill (same Message-ID)" if twice else ", each exactly once"
    audit.expect(f"{mode}: welcome mails", all(mails), seen)


def whole_report(user: User) -> str | None:
    pages = report.pages(user.report.read_bytes())
    return None if pages == 2 else f"{user.report} has {pages} pages"


def right_pictures(user: User) -> str | None:
    from PIL import Image

    for size in pictures.SIZES:
        with Image.open(user.pictures / size.filename) as picture:
            picture.load()
            found, wanted = (picture.width, picture.height), pictures.expected(size, user.width, user.height)
            if found != wanted or picture.format != size.format:
                return f"{user.id}/{size.filename} is {picture.format} {found}, not {size.format} {wanted}"
    return None


def partner(audit: Audit, users: Iterable[User], books: dict[str, object], refused: int, replayed: int) -> None:
    """The partner's own books name each user once."""
    keys = [f"user-{user.id}" for user in users]
    told = sum(key in books for key in keys)
    seen = share(told, len(keys), "are in its books, once")
    seen += f"; it refused {refused} times, was told again {replayed} times"
    audit.expect("partner", told == len(keys), seen)


def exact_count(audit: Audit) -> None:
    """The count without a key: exactly one for each sign-up, although workers were killed."""
    with db.connect() as connection:
        tally = dict(connection.execute("select mode, sign_ups from tally"))
        kept = dict(connection.execute("select mode, count(*) from users group by mode"))
    seen = ", ".join(f"{mode} {tally.get(mode, 0)} for {count}" for mode, count in sorted(kept.items()))
    audit.expect("counted exactly once", tally == kept, f"{seen} sign-ups")


def newsletter(audit: Audit, issue: int) -> None:
    received = mailbox.received(settings.folder("mail"), f"newsletter.{issue}.")
    again = sum(received.values()) - len(received)
    seen = share(len(received), db.SUBSCRIBERS, "readers got their mail")
    seen += f", {again} twice after a kill" if again else ", each exactly once"
    audit.expect("newsletter", len(received) == db.SUBSCRIBERS, seen)


def film(audit: Audit) -> None:
    from PIL import Image

    folder = settings.folder("video")
    with audit.guarded("film: still"):
        with Image.open(folder / f"{works.FILM}.jpg") as still:
            still.load()
            audit.expect("film: still", still.size == video.STILL, f"{still.width} x {still.height} {still.format}")
    with audit.guarded("film: small version"):
        width, height, seconds, sound = video.look(folder / f"{works.FILM}-360p.mp4")
        whole = video.look(settings.MEDIA / f"{works.FILM}.mp4")[2]
        right = (width, height) == (640, 360) and abs(seconds - whole) < 0.2 and sound
        seen = f"{width} x {height}, {seconds:.2f} s of {whole:.2f} s, {'with' if sound else 'without'} sound"
        audit.expect("film: small version", right, seen)


def migrated(audit: Audit, starts: int) -> None:
    """All rows moved, each once and rightly, in the batches that one uninterrupted run would take."""
    with db.connect() as connection:
        standing = migration.standing(connection)
        old = connection.execute("select id, name, phone, since from legacy order by id")
        new = connection.execute("select id, family, given, phone, since from contacts order by id")
        right = sum(migration.modern(row) == other for row, other in zip(old, new, strict=False))
        rows = connection.execute("select count(*) from contacts").fetchone()[0]
    batches = -(-db.LEGACY_ROWS // migration.BATCH)
    seen = f"{share(right, db.LEGACY_ROWS, 'rows are right')}, {standing.batches} batches, {standing.starts} starts"
    good = right == rows == db.LEGACY_ROWS and standing.batches == batches and standing.starts >= starts
    audit.expect("migration", good, seen)


def weekly(audit: Audit) -> None:
    found = sorted(settings.folder("mail").glob("weekly.*.eml"))
    with audit.guarded("weekly report"):
        parts = [part for path in found for part in mailbox.read(path).iter_attachments()]
        pages = [report.pages(part.get_content()) for part in parts]
        seen = f"{len(found)} mail to {mail.TEAM.addr_spec}, pages of its PDF: {', '.join(map(str, pages)) or 'none'}"
        audit.expect("weekly report", set(pages) == {1}, seen)


def cleaned(audit: Audit) -> None:
    left = len(list(settings.folder("uploads").iterdir()))
    parts = len(list(settings.data().glob("*/.*.part")))
    audit.expect("clean-up", left == parts == 0, f"{left} uploads and {parts} half-written files are left")


def judge(audit: Audit, subject: str, look: Callable[[], tuple[bool, str]]) -> None:
    """Add a finding that needs a question of its own to the store."""
    with audit.guarded(subject):
        right, seen = look()
        audit.expect(subject, right, seen)
