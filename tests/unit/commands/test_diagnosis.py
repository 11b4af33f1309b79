from __future__ import annotations

import pytest

from sidecar.client import (
    DeadlineError,
    PlatformError,
    SigningKey,
    UnavailableError,
    UnreadableAnswerError,
)
from sidecar.client.errors import error_of
from sidecar.commands.diagnosis import (
    Diagnosis,
    Level,
    failure,
    mend_of,
    of_clock,
    of_drift,
    of_internal_key,
    of_keys,
    of_product,
    ok,
    warning,
    worst,
)
from sidecar.commands.drift import Drift

NOW = 1_760_000_000.0


@pytest.mark.parametrize(
    ("date", "level"),
    [
        (NOW, Level.OK),
        (NOW - 1, Level.OK),
        (NOW + 5, Level.OK),
        (NOW + 6, Level.WARNING),
        (NOW - 30, Level.WARNING),
        (NOW + 61, Level.FAILURE),
        (NOW - 62, Level.FAILURE),
        (None, Level.WARNING),
    ],
)
def test_clocks(date: float | None, level: Level) -> None:
    """A whole second is no difference; the tokens' leeway is the end."""
    assert of_clock(date, NOW, NOW).level is level


def test_a_slow_answer_is_no_difference_of_clocks() -> None:
    """The Date was written somewhere within the call."""
    assert of_clock(NOW + 5, NOW, NOW + 10).level is Level.OK


@pytest.mark.parametrize(
    ("keys", "level"),
    [
        ([SigningKey("k", "RSA", "RS256", "sig")], Level.OK),
        ([SigningKey("k", "RSA", None, "sig")], Level.FAILURE),
        ([SigningKey("k", "RSA", "RS256", None)], Level.FAILURE),
        ([SigningKey("k", "EC", "ES256", "sig")], Level.FAILURE),
        ([], Level.FAILURE),
    ],
)
def test_the_key_set(keys: list[SigningKey], level: Level) -> None:
    """RS256 alone is believed."""
    assert of_keys(keys).level is level


def test_one_key_is_one() -> None:
    """Said as people say it."""
    key = SigningKey("k", "RSA", "RS256", "sig")
    other = SigningKey("k", "EC", "ES256", "sig")
    assert [of_keys(keys).text for keys in ([key], [key, key], [other])] == [
        "1 key for RS256", "2 keys for RS256", "1 key, none for RS256",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (error_of("c", 404, ""), Level.OK),
        (error_of("c", 403, ""), Level.OK),
        (error_of("c", 422, ""), Level.OK),
        (None, Level.OK),
        (error_of("c", 401, ""), Level.FAILURE),
        (error_of("c", 503, ""), Level.FAILURE),
        (UnavailableError("c", "down"), Level.FAILURE),
    ],
)
def test_the_products_key(error: PlatformError | None, level: Level) -> None:
    """Anything but 401 says that the key was taken; no answer says nothing good."""
    assert of_internal_key(error, error_of("c", 401, "")).level is level


@pytest.mark.parametrize("error", [error_of("c", 404, ""), error_of("c", 422, ""), None])
def test_a_key_that_nobody_looks_at_says_nothing(error: PlatformError | None) -> None:
    """A web server that is not the platform answers every key alike."""
    told = of_internal_key(error, error)
    assert told.level is Level.FAILURE
    assert "PLATFORM_API_URL" in told.mend


@pytest.mark.parametrize(
    ("error", "mend"),
    [
        (UnavailableError("c", "cannot connect"), "DNS"),
        (DeadlineError("c", "no answer"), "DNS"),
        (error_of("c", 503, ""), "fails"),
        (error_of("c", 429, ""), "again later"),
        (error_of("c", 404, ""), "URL is the platform's own"),
        (error_of("c", 501, ""), "URL is the platform's own"),
        (UnreadableAnswerError("c", "not JSON", status=200), "URL is the platform's own"),
    ],
)
def test_each_failure_of_a_call_has_its_own_mend(error: PlatformError, mend: str) -> None:
    """A platform that fails is not helped by a look at the network."""
    assert mend in mend_of(error)


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (error_of("c", 404, ""), Level.OK),
        (error_of("c", 422, ""), Level.OK),
        (error_of("c", 403, "of product 'x'"), Level.FAILURE),
        (None, Level.WARNING),
        (error_of("c", 401, ""), Level.WARNING),
        (error_of("c", 503, ""), Level.WARNING),
    ],
)
def test_the_policys_product(error: PlatformError | None, level: Level) -> None:
    """403 alone contradicts it."""
    assert of_product(error, "acme-notes").level is level


def test_each_drift_is_a_line() -> None:
    """A shape of our own choice is no failure."""
    drifts = (Drift("GET /a", "answer field `x`", "is gone", ours=False),
              Drift("GET /b", "answer field `y`", "is gone", ours=True))  # fmt: skip
    assert [(each.level, each.text) for each in of_drift(drifts)] == [
        (Level.FAILURE, "GET /a: answer field `x` is gone"),
        (Level.WARNING, "GET /b: answer field `y` is gone"),
    ]


def test_the_worst_decides() -> None:
    """None at all is good."""
    lines: list[Diagnosis] = []
    seen = [worst(lines)]
    for line in (ok("a", "b"), warning("a", "b", "c"), failure("a", "b", "c"), ok("a", "b")):
        lines.append(line)
        seen.append(worst(lines))
    assert seen == [Level.OK, Level.OK, Level.WARNING, Level.FAILURE, Level.FAILURE]
