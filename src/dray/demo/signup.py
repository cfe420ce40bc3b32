"""A sign-up, done in the two ways that are compared: everything in the request, or a record and five jobs."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass, field
from email.headerregistry import Address
from typing import Any

from dray import JobHandle
from dray.demo import db, jobs, pictures, settings
from dray.demo.partner_api import PartnerClient, PartnerDown

MAX_PHOTO = 10 * 1024 * 1024  # bytes
INLINE_TRIES = 6


class BadForm(ValueError):
    """Something in the form that its sender can put right."""


@dataclass(frozen=True, slots=True)
class Form:
    """A sign-up as it was sent. Raises `BadForm` if it cannot be used."""

    name: str
    email: str
    photo: bytes
    size: tuple[int, int] = field(init=False)

    def __post_init__(self) -> None:
        if not 0 < len(self.name.strip()) <= 80 or not self.name.isprintable():
            raise BadForm(f"the name must have 1 to 80 printable characters, and has {len(self.name)}")
        try:
            Address(addr_spec=self.email)
            self.email.encode("ascii")
        except Exception as error:
            raise BadForm(f"{self.email!r} is no e-mail address") from error
        if len(self.photo) > MAX_PHOTO:
            raise BadForm(f"the photograph has {len(self.photo):,} bytes, and may have {MAX_PHOTO:,}")
        _, width, height = pictures.look(self.photo)
        object.__setattr__(self, "size", (width, height))


def store_photo(photo: bytes) -> str:
    name = uuid.uuid4().hex
    settings.write_whole(settings.folder("uploads") / name, photo)
    return name


def in_background(form: Form) -> int:
    """Write the user and the jobs in one transaction: there is never one without the others. Gives the user's id."""
    photo = store_photo(form.photo)
    with db.connect() as connection, db.writing(connection):
        user_id = db.add_user(connection, form.name, form.email, photo, form.size, "background")
        with jobs.app.bind(connection):
            handles: dict[str, JobHandle[Any]] = {
                "welcome": jobs.send_welcome.enqueue(user_id),
                "report": jobs.render_report.enqueue(user_id),
                "pictures": jobs.make_pictures.enqueue(user_id),
                "partner": jobs.tell_partner.enqueue(user_id),
                "count": jobs.count_sign_up.enqueue("background"),
            }
        db.add_jobs(connection, user_id, {kind: handle.id for kind, handle in handles.items()})
    return user_id


async def inline(form: Form, partner: PartnerClient) -> int:
    """Do the same work here and now, by calling the same tasks plainly. Gives the user's id.

    Raises `PartnerDown` if the partner failed `INLINE_TRIES` times in a row.
    """
    user_id = await asyncio.to_thread(_inline_work, form)
    for attempt in range(1, INLINE_TRIES + 1):
        try:
            await jobs.tell_partner(user_id, partner=partner)
            break
        except PartnerDown:
            if attempt == INLINE_TRIES:
                raise
            await asyncio.sleep(0.3 * 2 ** (attempt - 1))
    return user_id


def _inline_work(form: Form) -> int:
    photo = store_photo(form.photo)
    with db.connect() as connection, db.writing(connection):
        user_id = db.add_user(connection, form.name, form.email, photo, form.size, "inline")
        jobs.count_sign_up("inline", connection)
    jobs.send_welcome(user_id)
    jobs.render_report(user_id)
    jobs.make_pictures(user_id)
    return user_id
