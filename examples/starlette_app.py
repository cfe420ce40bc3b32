"""A web application that hands slow work over, with the worker beside it or inside it.

    pip install starlette uvicorn
    uvicorn starlette_app:web

The worker lives inside the web server here, which suits a small application. In a larger one, leave `lifespan` out and run
`dray worker starlette_app.py` beside it: nothing else changes. FastAPI works the same way.
"""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from dray import Dray, UnknownJob

app = Dray()


@app.task
def report(user_id: int) -> str:
    time.sleep(0.2)  # something slow: a plain function, so it runs in a thread
    return f"report for user {user_id}"


async def order(request: Request) -> JSONResponse:
    job = await report.aenqueue(int(request.path_params["user_id"]))
    return JSONResponse({"job": job.id}, status_code=202)


async def look(request: Request) -> JSONResponse:
    try:
        job = await app.insight.ajob(request.path_params["id"])
    except UnknownJob as error:
        return JSONResponse({"error": str(error)}, status_code=404)
    return JSONResponse({"state": job.state, "result": json.loads(job.result) if job.result else None})


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    async with app.worker():
        yield


web = Starlette(
    routes=[Route("/reports/{user_id:int}", order, methods=["POST"]), Route("/jobs/{id}", look)], lifespan=lifespan
)
