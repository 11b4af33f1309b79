"""The pricing phase: how many units a call costs; a body that says so is read in turns."""

from __future__ import annotations

from sidecar.admission.findings import Free, NoRoom, TooLong, price_of
from sidecar.domain.errors import NoRoomError
from sidecar.domain.model import Call
from sidecar.domain.ports import BodySource
from sidecar.domain.turns import turns
from sidecar.policy.amounts import JsonAmount, UnreadableAmount
from sidecar.policy.compiled import Meter


async def price(
    call: Call, meter: Meter, body: BodySource, org: str
) -> int | TooLong | NoRoom | UnreadableAmount | Free:
    """Return the units that a call of `org` costs, more than 0, or why there is no such number."""
    source = meter.amount
    if not isinstance(source, JsonAmount):
        return price_of(source.read(call.headers))
    compressed = any(name == b"content-encoding" for name, _ in call.headers)
    decoder = meter.body_limit if compressed else 0
    try:
        content = await body.read(meter.body_limit, org, decoder)
    except NoRoomError:
        return NoRoom()
    if content is None:
        return TooLong(meter.body_limit)
    reading = source.reading(call.headers, content, meter.body_limit)
    return price_of(await turns().run(reading, org))
