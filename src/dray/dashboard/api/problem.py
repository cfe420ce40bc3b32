"""What went wrong, as a problem document (RFC 9457): a status and one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from starlette.responses import Response

from dray.errors import (
    ConfigurationError,
    DrayError,
    EnqueueError,
    PayloadTooLarge,
    StoreError,
    UnknownJob,
    UnknownSchedule,
    UnknownTask,
    UnknownWorker,
)

MEDIA_TYPE = "application/problem+json"
TRY_AGAIN = "5"  # seconds
UNEXPECTED = "It failed in an unexpected way; the server's log has the traceback."
NOT_FOUND = (UnknownJob, UnknownSchedule, UnknownTask, UnknownWorker)


class Problem(Struct, frozen=True, kw_only=True):
    """What went wrong."""

    type: str = "about:blank"
    title: Annotated[str, Meta(description="The name of the status.")]
    status: int
    detail: Annotated[str, Meta(description="What is wrong, with which values, and what to do: one sentence.")]


class Failed(Exception):
    """The answer is a problem."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})


def problem_response(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """A problem as an answer."""
    body = msgspec.json.encode(Problem(title=HTTPStatus(status).phrase, status=status, detail=clean(detail)))
    return Response(body, status, {"cache-control": "no-store", **(headers or {})}, MEDIA_TYPE)


def clean(text: str) -> str:
    """A text that can be written as UTF-8."""
    return text.encode("utf-8", "replace").decode()


def failed(error: DrayError, *, has_body: bool) -> Failed:
    """The problem that an error of Dray is. What is wrong with the values of a body is 422, else it is 400."""
    if isinstance(error, NOT_FOUND):
        return Failed(404, str(error))
    if isinstance(error, StoreError):
        return Failed(503, str(error), {"retry-after": TRY_AGAIN})
    if isinstance(error, PayloadTooLarge):
        return Failed(413, str(error))
    if isinstance(error, EnqueueError | ConfigurationError):
        return Failed(422 if has_body else 400, str(error))
    return Failed(422 if has_body else 409, str(error))
