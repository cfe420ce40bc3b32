"""Everything that the document says about the API is tried with generated requests, right ones and wrong ones, one by one and one
after another: no answer may be other than the document says, no wrong request may pass, none may break the server."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from api_hands import Scene, served
from starlette.applications import Starlette

from dray.dashboard.api import OPERATIONS

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import schemathesis
    from schemathesis.config import SchemathesisConfig
    from schemathesis.engine import events, from_schema

TOKEN = "a token for the tests"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
# An endless answer, one that takes a while, and the document itself, which is not asked for again: they have tests of their own.
APART = ("events", "doctor", "openapi")
# A search, and the arguments of a task, may be wrong in ways that no schema tells.
WORDED = ("list_jobs", "count_jobs", "enqueue", "run_again", "edit", "begin", "pause_queue")
ACCEPTED = ["2xx", "3xx", 400, 401, 403, 404, 409, 413, 422, 429]


def tried(app: Starlette, examples: int, seed: int) -> Iterator[Any]:
    """What came of each scenario."""
    config = SchemathesisConfig.from_dict({
        "headers": HEADERS, "seed": seed, "continue-on-failure": True, "suppress-health-check": ["all"],
        "generation": {"max-examples": examples, "deterministic": True, "database": "none"},
        "operations": [{
            "include-operation-id": list(WORDED),
            "checks": {"positive_data_acceptance": {"expected-statuses": ACCEPTED}},
        }],
    })  # fmt: skip
    document = schemathesis.openapi.from_asgi("/api/v1/openapi.json", app, config=config, headers=HEADERS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield from from_schema(document.exclude(operation_id=list(APART))).execute()


def check(folder: Path, log: pytest.LogCaptureFixture, examples: int, seed: int, url: str | None = None) -> int:
    """Fails with what is wrong; the number of requests."""
    wrong: dict[tuple[str, str], str] = {}
    asked: dict[str, int] = {}
    with Scene(folder, url).at_work() as scene:
        app = served(scene.app, token=TOKEN, bulk_per_minute=1e9)
        for event in tried(app, examples, seed):
            if isinstance(event, events.NonFatalError | events.FatalError):
                wrong["error", str(event)[:200]] = str(getattr(event, "value", event))
            if not isinstance(event, events.ScenarioFinished):
                continue
            label = event.recorder.label
            asked[label] = asked.get(label, 0) + len(event.recorder.cases)
            for checks in event.recorder.checks.values():
                for one in checks:
                    if one.failure_info is not None:
                        told = f"{one.failure_info.failure.message}\n{one.failure_info.code_sample}"
                        wrong.setdefault((label, one.name), told)
        app.state.house.close()
    assert not wrong, "\n\n".join(f"{label}: {name}\n{text}" for (label, name), text in wrong.items())
    told = [record.getMessage() for record in log.records if record.name == "dray.dashboard"]
    assert not told, "nothing failed in the background either"
    for one in OPERATIONS:
        if one.name not in APART:
            assert asked.get(f"{one.method} {one.path}"), f"{one.name} was not tried"
    return sum(asked.values())


def test_no_request_breaks_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert check(tmp_path, caplog, 10, 1) > 500


@pytest.mark.torture
@pytest.mark.parametrize("store", ["sqlite", "postgres", "redis"])
def test_no_request_breaks_it_for_long(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, store: str, request: pytest.FixtureRequest
) -> None:
    with contextlib.ExitStack() as stack:
        url = None
        if store == "postgres":
            url = stack.enter_context(request.getfixturevalue("postgres").fresh())
        elif store == "redis":
            url = stack.enter_context(request.getfixturevalue("valkey").fresh())
        assert check(tmp_path, caplog, 400, 2, url) > 10_000
