"""The states of jobs, as the pages show them."""

from __future__ import annotations

from dataclasses import dataclass

FINAL = ("succeeded", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class JobState:
    """One job: what it is for, its state, the number of attempts, and a note (progress, or the last error)."""

    kind: str
    state: str
    attempt: int
    note: str

    @property
    def final(self) -> bool:
        return self.state in FINAL


def of_job(kind: str, job_id: str) -> JobState:
    return JobState(kind, "ready", 0, "")


def of_user(user_id: int) -> list[JobState]:
    return []
