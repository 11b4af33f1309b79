"""What a scraper would rather have: a format and a coding, by their weights (RFC 9110, 12.4.2)."""

from __future__ import annotations

from typing import Final

_OPENMETRICS: Final = "application/openmetrics-text"
_TEXT: Final = ("text/plain", "text/*", "*/*")


def wants_openmetrics(accept: str) -> bool:
    """Whether OpenMetrics is named, and no less wanted than the text format."""
    weights = _weights(accept)
    wanted = weights.get(_OPENMETRICS, 0.0)
    text = next((weights[name] for name in _TEXT if name in weights), 0.0)
    return wanted > 0 and wanted >= text


def takes_gzip(accept_encoding: str) -> bool:
    """Whether gzip is named or anything goes, and no less wanted than the bytes as they are."""
    weights = _weights(accept_encoding)
    wanted = weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0)))
    return wanted > 0 and wanted >= weights.get("identity", 0.0)


def _weights(field: str) -> dict[str, float]:
    """Return each name of the list with its weight, the highest where it is there twice.

    Parameters that are not `q` do not count: one version of each format is written here.
    """
    found: dict[str, float] = {}
    for item in field.split(","):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        if name:
            weight = next((_number(each[2:]) for each in parameters if each[:2] == "q="), 1.0)
            found[name] = max(weight, found.get(name, 0.0))
    return found


def _number(text: str) -> float:
    """Read a weight; what is none asks for nothing."""
    digits = text.replace(".", "", 1)
    if not (digits.isascii() and digits.isdigit() and len(text) <= len("0.000")):
        return 0.0
    return min(float(text), 1.0)
