"""Audit: who did what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from starlette.responses import Response

from dray.dashboard.page import Ask, get
from dray.insight.act import ACTIONS
from dray.model.ids import from_text

if TYPE_CHECKING:
    from dray.store.values import AuditEntry

SIZE = 100  # entries on a page
LOOKS = 20  # pages of the store that are looked through for one page of what is asked for


class Found(Struct, frozen=True):
    """A page of entries."""

    entries: list[AuditEntry]
    next: int | None  # the number before which the next page begins; None: it is the last
    looked: int  # how many entries were looked at


def find(
    audits: Callable[[int | None, int], Sequence[AuditEntry]], before: int | None, by: str, action: str, size: int = SIZE,
    looks: int = LOOKS,
) -> Found:  # fmt: skip
    """Entries of somebody and of some action, newest first. Where few are, the search ends after a while: `next` goes on."""
    found: list[AuditEntry] = []
    looked, wanted_by, wanted = 0, by.strip().lower(), action.strip().lower()
    for _ in range(looks):
        page = audits(before, size)
        for entry in page:
            looked += 1
            before = entry.number
            if wanted_by in entry.by.lower() and wanted in entry.action.lower():
                found.append(entry)
                if len(found) == size:
                    return Found(found, before, looked)
        if len(page) < size:
            return Found(found, None, looked)
        if not wanted_by and not wanted:
            break
    return Found(found, before, looked)


@get("/audit")
def audit(ask: Ask) -> Response:
    """One page."""
    by, action, before = ask.query("by"), ask.query("action"), ask.query("before")
    found = find(ask.insight.audits, int(before) if before.isdecimal() and len(before) < 19 else None, by, action)
    return ask.page(
        "audit.html", found=found, by=by, action=action, before=before, people=sorted({one.by for one in found.entries}),
        actions=sorted({one.action for one in found.entries}), link=lambda entry: link(ask, entry), job=made,
    )  # fmt: skip


def link(ask: Ask, entry: AuditEntry) -> str:
    """The page of what was acted on; empty if there is none."""
    words = entry.action
    if "queue" in words:
        return ask.url("queues/one", name=entry.target)
    if "schedule" in words:
        return "" if words.startswith("remove") else ask.url("schedules/one", name=entry.target)
    if "worker" in words:
        return ask.url("workers/one", id=entry.target)
    if words == "enqueue":
        return ask.url("tasks/one", name=entry.target)
    if _is_job(entry.target):
        return ask.url(f"jobs/{entry.target}")
    # Of a bulk: a search, or the number of jobs and the first of their ids.
    return ask.url("jobs", q=entry.target) if words in ACTIONS and " jobs: " not in entry.target else ""


def made(entry: AuditEntry) -> str:
    """The id of the job that came of it; empty if none did."""
    return entry.detail if _is_job(entry.detail) else ""


def _is_job(text: str) -> bool:
    try:
        from_text(text)
    except ValueError:
        return False
    return True


DOORS = (audit,)
