"""The types of parameters and bodies that several operations share. What a type says is both what is checked and what the document
says, so that the two cannot differ."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from msgspec import Meta, Struct

#: Any text without NUL, which a database cannot hold.
Text = Annotated[str, Meta(pattern=r"^[^\x00]*$")]
Name = Annotated[str, Meta(pattern=r"^[^\x00]+$", min_length=1, max_length=500)]
Search = Annotated[Text, Meta(max_length=2000, description="A search, such as `state:failed queue:mail`; without one, all jobs.")]
Limit = Annotated[int, Meta(ge=1, le=200, description="At most so many.")]
Hours = Annotated[float, Meta(ge=0.25, le=840, description="How far back, in hours.")]
JobId = Annotated[str, Meta(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
Number = Annotated[int, Meta(ge=0, le=2**62)]


class Query(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parameters of an operation; this one has none."""


class Body(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an operation is given; this one is given nothing."""

    #: what its JSON Schema says beside its fields
    also: ClassVar[dict[str, Any]] = {}


class HoursQuery(Query, frozen=True, kw_only=True):
    """A time range."""

    hours: Hours = 1.0
