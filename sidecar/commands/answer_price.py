"""What an answer has cost, for `explain --answer`: read and priced by the sidecar's own parts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Final

from sidecar.admission.cost import cost_of, hold_of
from sidecar.domain.errors import UserError
from sidecar.domain.model import Headers
from sidecar.domain.usage import Terms, Usage, UsageRule
from sidecar.http1.errors import ProtocolError
from sidecar.http1.response_heads import parse_response
from sidecar.usage.estimate import Estimator
from sidecar.usage.formats import choices_of
from sidecar.usage.reader import reader_of

_MAX_FIELDS: Final = 1000
_DIGITS: Final = 6
"""Of a part of a unit that cannot be written whole."""

_NOTHING_READ: Final = Usage(None, None, None, 0, None)
"""Of an answer that is not 2xx: its call costs the deposit."""


@dataclass(frozen=True, slots=True)
class AnswerPrice:
    """What was read of an answer, and what follows.

    `units` is exact, before what the org's earlier calls have left. `owed` is consumed after the
    deposit, or is a credit where it is negative; `carried` is left for the next call. `hold` is
    what the call may cost at most, by its request.
    """

    tokens: dict[str, int] | None
    number: str | None
    model: str | None
    missing: str | None
    text_bytes: int
    units: str
    deposit: int
    owed: int
    carried: str
    hold: int


def price_answer(rule: UsageRule, answer: bytes, request: bytes, deposit: int) -> AnswerPrice:
    """Price an answer: its body, or a head and a body as `curl -i` prints them."""
    status, headers, body = _split(answer)
    succeeded = 200 <= status <= 299  # noqa: PLR2004 - RFC 9110, 15.3
    usage = _usage_in(body, rule, headers) if succeeded else _NOTHING_READ
    estimate = Estimator(rule.hold, choices=choices_of(rule)).read(request)
    terms = Terms(rule, estimate, hold_of(rule, estimate, deposit), forgive=False)
    units = Fraction(*cost_of(terms, usage, deposit)) if succeeded else Fraction(deposit)
    cost = units.numerator // units.denominator
    return AnswerPrice(
        tokens=None if usage.tokens is None else asdict(usage.tokens),
        number=None if usage.number is None else str(usage.number),
        model=usage.model,
        missing=None if usage.missing is None else usage.missing.value,
        text_bytes=usage.text_bytes,
        units=_shown(units),
        deposit=deposit,
        owed=cost - deposit,
        carried=_shown(units - cost),
        hold=terms.hold,
    )


def _usage_in(body: bytes, rule: UsageRule, headers: Headers) -> Usage:
    reader = reader_of(rule, headers)
    reader.feed(body)
    return reader.end(whole=True)


def lines_of(price: AnswerPrice) -> list[str]:
    """Return a price as text for a terminal."""
    unit = "unit" if price.units == "1" else "units"
    lines = [f"answer: {price.units} {unit}; deposit: {price.deposit}"]
    if price.tokens is not None:
        used = ", ".join(f"{count} {kind}" for kind, count in price.tokens.items() if count)
        lines.append(f"  tokens: {used or 'none'}")
    if price.number is not None:
        lines.append(f"  number: {price.number}")
    if price.model is not None:
        lines.append(f"  model: {price.model}")
    if price.missing is not None:
        lines.append(f"  usage is missing ({price.missing}); text sent: {price.text_bytes} bytes")
    what = "owed" if price.owed >= 0 else "given back as a credit"
    lines.append(f"  {what}: {abs(price.owed)}, carried to the next call: {price.carried}")
    if price.hold:
        lines.append(f"  held while it runs: {price.hold}")
    return lines


def _split(answer: bytes) -> tuple[int, Headers, bytes]:
    if not answer.startswith(b"HTTP/"):
        return 200, (), answer
    head, _, body = answer.replace(b"\r\n", b"\n").partition(b"\n\n")
    if b"\r\n\r\n" in answer:
        body = answer.partition(b"\r\n\r\n")[2]
    start, *lines = head.split(b"\n")
    version, _, rest = start.partition(b" ")
    if not version.startswith(b"HTTP/1"):  # curl names HTTP/2 without a reason
        start = b"HTTP/1.1 " + rest
    framing = (b"transfer-encoding:", b"connection:", b"content-length:")
    kept = [line for line in lines if not line.lower().startswith(framing)]
    try:
        parsed = parse_response(b"\r\n".join((start, *kept, b"", b"")), "GET", _MAX_FIELDS)
    except ProtocolError as error:
        raise UserError(
            f"--answer: the head is not HTTP/1.1: {error.detail}; give what `curl -i` prints, or"
            " the body alone"
        ) from error
    return parsed.status, parsed.fields, body


def _shown(units: Fraction) -> str:
    whole, rest = divmod(units.numerator, units.denominator)
    if not rest:
        return str(whole)
    return f"{float(units):.{_DIGITS}f}".rstrip("0").rstrip(".")
