"""A FastAPI product that answers by the plan that each call carries, and notes what it has done."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from prometheus_client import generate_latest

from sidecar.middleware import QuotaMiddleware
from tests.doors.products.notes import PATHS, answer_parts, noted, notes
from tests.soak.settled_plans import Ending
from tests.soak.settled_product import Execution

EXECUTIONS: dict[str, Execution] = {}

app = FastAPI()
app.add_middleware(QuotaMiddleware)


async def answer(request: Request) -> Response:
    """Answer by plan; a cost that the call names is settled."""
    fields = request.headers
    execution = noted(EXECUTIONS, fields["x-plan"], await request.body())
    if "x-settle" in fields:
        request.state.quota.settle(int(fields["x-settle"]))
    if execution.plan.ending is Ending.ERROR:
        return Response("busy", 503)
    if not execution.plan.stream:
        execution.done = True
        return Response(b"".join(answer_parts(execution)), media_type="application/json")
    return StreamingResponse(_parts(execution), media_type="text/event-stream")


async def _parts(execution: Execution) -> AsyncIterator[bytes]:
    for part in answer_parts(execution):
        yield part
        if execution.plan.ending is Ending.CUT:
            raise RuntimeError("the model broke")
    execution.done = True


for path in PATHS:
    app.post(path)(answer)


@app.get("/executions")
async def executions() -> Response:
    """Say what was executed."""
    return Response(notes(EXECUTIONS), media_type="application/json")


@app.get("/metrics")
async def metrics() -> Response:
    """Show the default registry."""
    return Response(generate_latest())


@app.get("/ran")
async def ran() -> Response:
    """Say that the product is up."""
    return Response(b"{}")
