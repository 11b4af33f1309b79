"""The planned product under aiohttp: `python -m tests.doors.products.planned_aiohttp PORT`."""

from __future__ import annotations

import asyncio
import sys

from aiohttp import web
from prometheus_client import generate_latest

from sidecar.middleware.aiohttp import setup
from tests.doors.products.notes import PATHS, answer_parts, noted, notes
from tests.soak.settled_plans import Ending
from tests.soak.settled_product import Execution

EXECUTIONS: dict[str, Execution] = {}


async def answer(request: web.Request) -> web.StreamResponse:
    """Answer by plan; a cost that the call names is settled."""
    fields = request.headers
    execution = noted(EXECUTIONS, fields["x-plan"], await request.read())
    if "x-settle" in fields:
        request["quota"].settle(int(fields["x-settle"]))
    if execution.plan.ending is Ending.ERROR:
        return web.Response(text="busy", status=503)
    if not execution.plan.stream:
        execution.done = True
        content = b"".join(answer_parts(execution))
        return web.Response(body=content, content_type="application/json")
    stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await stream.prepare(request)
    for part in answer_parts(execution):
        await stream.write(part)
        if execution.plan.ending is Ending.CUT:
            raise RuntimeError("the model broke")
        await asyncio.sleep(0)
    execution.done = True
    return stream


async def executions(_: web.Request) -> web.Response:
    """Say what was executed."""
    return web.Response(body=notes(EXECUTIONS), content_type="application/json")


async def metrics(_: web.Request) -> web.Response:
    """Show the default registry."""
    return web.Response(body=generate_latest())


async def ran(_: web.Request) -> web.Response:
    """Say that the product is up."""
    return web.json_response({})


def main() -> None:
    """Serve until SIGTERM."""
    app = web.Application()
    setup(app)
    for path in PATHS:
        app.router.add_post(path, answer)
    app.router.add_get("/executions", executions)
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/ran", ran)
    web.run_app(
        app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, handler_cancellation=True
    )


if __name__ == "__main__":
    main()
