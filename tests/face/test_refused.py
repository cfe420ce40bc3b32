"""What no store could keep is refused when it is enqueued or registered, with the reason, on every store alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dray import ConfigurationError, Dray, NotEncodable, PayloadTooLarge
from dray.config import settings


@pytest.fixture
def app() -> Iterator[Dray]:
    made = Dray("sqlite://")
    yield made
    assert made.insight.counts() == {}  # nothing was written
    made.close()


@pytest.fixture
def echo(app: Dray) -> Any:
    @app.task(name="echo")
    def echo(data: Any, **more: Any) -> Any:
        return data

    return echo


@pytest.mark.parametrize("data", ["a\0b", {"x": ["\0"]}, {"a\0": 1}, '\\"\0', "\\\0"])
def test_a_nul_character(echo: Any, data: Any) -> None:
    for enqueue in (echo.enqueue, echo.call, echo.using(priority=1).enqueue):
        with pytest.raises(NotEncodable, match=r"The arguments of echo contain the character NUL \(U\+0000\)"):
            enqueue(data)


@pytest.mark.parametrize("data", ["\\u0000", "\\\\u0000", '"\\u0000"', "\x01", "\\\\\\u0000x"])
def test_what_only_looks_like_one(data: str) -> None:
    app = Dray("sqlite://")

    @app.task(name="echo")
    def echo(data: str) -> str:
        return data

    handle = echo.enqueue(data)
    assert app.insight.job(handle.id).args == {"data": data}
    app.close()


def test_bytes_may_hold_anything() -> None:
    app = Dray("sqlite://")

    @app.task(name="keep")
    def keep(data: bytes) -> None: ...

    keep.enqueue(b"\0\xff")
    app.close()


def test_a_lone_surrogate(echo: Any) -> None:
    with pytest.raises(NotEncodable, match=r"data contains the lone surrogate U\+D800"):
        echo.enqueue("\ud800")


def test_a_payload_that_is_far_too_large(echo: Any) -> None:
    with pytest.raises(PayloadTooLarge, match=r"take 134,217,7\d\d bytes, the limit is 262,144"):
        echo.enqueue("x" * 128 * 1024**2)
    with pytest.raises(ConfigurationError, match=r"size_limit is '1GiB': use at most 512 MiB"):
        Dray("sqlite://", size_limit="1GiB")


@pytest.mark.parametrize("name", ["x" * 10_000, "x" * 201, "a\0b", "a\nb", "a\ud800", "\x7f"])
def test_names_of_tasks(app: Dray, name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"the name of a task is .*: use a text of 1 to 200 characters") as caught:
        app.task(name=name)(lambda: None)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("name", ["x" * 10_000, "x" * 201, "a\0b", "a\nb", "a\ud800", "a\tb"])
def test_names_of_queues_and_tags(echo: Any, name: str) -> None:
    for options, said in (({"queue": name}, "queue of"), ({"tags": [name]}, "tags of")):
        with pytest.raises(ConfigurationError, match=said) as caught:
            echo.using(**options)
        assert len(str(caught.value)) < 330


def test_names_as_long_as_may_be() -> None:
    app = Dray("sqlite://")
    task = app.task(name="ü" * 200, queue="q" * 200, tags=["👩\u200d💻"])(lambda: None)
    task.enqueue()
    assert app.insight.counts() == {"q" * 200: {"ready": 1}}
    app.close()


# -- the setting `migrate`


def test_who_may_migrate(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DRAY_MIGRATE", raising=False)
    assert Dray()._migrates
    (tmp_path / "dray.toml").write_text("migrate = 'never'\n")
    assert not Dray()._migrates
    monkeypatch.setenv("DRAY_MIGRATE", "auto")
    assert Dray()._migrates
    assert not Dray(migrate=False)._migrates
    monkeypatch.setenv("DRAY_MIGRATE", "never")
    assert not Dray()._migrates
    assert Dray(migrate=True)._migrates
    assert settings({"migrate": "auto"})["migrate"].value == "auto"
    monkeypatch.setenv("DRAY_MIGRATE", "perhaps")
    with pytest.raises(ConfigurationError, match=r"migrate is 'perhaps' \(from DRAY_MIGRATE\): use auto, never"):
        assert Dray()._migrates
