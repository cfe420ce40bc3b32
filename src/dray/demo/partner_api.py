"""The application's client for the partner's API."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

from dray.demo import settings

if TYPE_CHECKING:
    import httpx


class PartnerDown(Exception):
    """The partner did not take the customer this time; another try may help."""


class PartnerRefused(Exception):
    """The partner will never take this customer as it was sent."""


class PartnerClient:
    """One pool of connections to the partner, made once per process and closed at its end (`async with`)."""

    def __init__(self, url: str | None = None) -> None:
        self.url = url or settings.partner_url()
        self._http: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        import httpx

        limits = httpx.Limits(max_connections=100)
        self._http = httpx.AsyncClient(base_url=self.url, timeout=5.0, limits=limits, trust_env=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.aclose()

    async def create(self, key: str, name: str, email: str) -> str:
        """Tell the partner of a customer; gives the partner's reference. The same `key` never makes a second one.

        Raises `PartnerDown` (503, no connection, no answer within 5 s) or `PartnerRefused` (any other refusal).
        """
        import httpx

        assert self._http is not None, "the client is used inside `async with`"
        body, headers = {"name": name, "email": email}, {"Idempotency-Key": key}
        try:
            answer = await self._http.post("/customers", json=body, headers=headers)
        except httpx.TransportError as error:
            raise PartnerDown(f"the partner at {self.url} does not answer: {error!r}") from error
        if answer.status_code == 503:
            raise PartnerDown(f"the partner answered 503: {answer.json().get('error', '')}")
        if answer.is_error:
            raise PartnerRefused(f"the partner answered {answer.status_code} for {key}: {answer.text[:200]}")
        reference = answer.json()["reference"]
        assert isinstance(reference, str)
        return reference
