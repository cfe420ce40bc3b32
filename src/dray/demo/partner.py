"""The partner's API, slow and flaky as such things are: `python -m dray.demo.partner [PORT] [SEED]`.

POST /customers takes 150 to 600 ms and answers 503 one time in four. The header Idempotency-Key is honoured: a key that
was accepted before gets the same answer again, at once, and creates nothing. What happens is drawn from the seed, the
key and the number of the try, so that a run can be repeated. GET /customers tells what was accepted.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections import Counter
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from dray.demo.child import serve

FAILS = 0.25
SLOW = (0.150, 0.600)  # seconds


class Partner:
    """The partner's memory."""

    def __init__(self, seed: int = 1) -> None:
        self.seed = seed
        self.tries: Counter[str] = Counter()
        self.refused = 0
        self.replayed = 0
        self.accepted: dict[str, dict[str, Any]] = {}

    async def create(self, request: Request) -> JSONResponse:
        key = request.headers.get("Idempotency-Key", "")
        if not key:
            return JSONResponse({"error": "the header Idempotency-Key is missing"}, 400)
        customer = await request.json()
        if key in self.accepted:
            self.replayed += 1
            return JSONResponse(self.accepted[key], 200, {"Idempotent-Replayed": "true"})
        self.tries[key] += 1
        draw = random.Random(f"{self.seed}:{key}:{self.tries[key]}")
        await asyncio.sleep(draw.uniform(*SLOW))
        if draw.random() < FAILS:
            self.refused += 1
            return JSONResponse({"error": "the partner is overloaded, try again later"}, 503, {"Retry-After": "1"})
        reply = self.accepted.setdefault(key, {"reference": f"P-{1000 + len(self.accepted)}", "customer": customer})
        return JSONResponse(reply, 201)

    async def list(self, request: Request) -> JSONResponse:
        return JSONResponse({"accepted": self.accepted, "refused": self.refused, "replayed": self.replayed})


def application(seed: int = 1) -> Starlette:
    partner = Partner(seed)
    return Starlette(
        routes=[
            Route("/customers", partner.create, methods=["POST"]),
            Route("/customers", partner.list, methods=["GET"]),
        ]
    )


if __name__ == "__main__":
    serve(application(int(sys.argv[2]) if len(sys.argv) > 2 else 1), int(sys.argv[1]) if len(sys.argv) > 1 else 0)
