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
    hint_of,
    not_checked,
    of_clock,
    of_drift,
    of_internal_key,
    of_keys,
    of_networks,
    of_product,
    ok,
    warning,
    worst,
)
from sidecar.commands.drift import Drift
from sidecar.settings.values import parse_networks

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
    assert "PLATFORM_API_URL" in told.hint


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (UnavailableError("c", "cannot connect"), "DNS"),
        (DeadlineError("c", "no answer"), "DNS"),
        (error_of("c", 503, ""), "fails"),
        (error_of("c", 429, ""), "again later"),
        (error_of("c", 404, ""), "URL is the platform's"),
        (error_of("c", 501, ""), "URL is the platform's"),
        (UnreadableAnswerError("c", "not JSON", status=200), "URL is the platform's"),
    ],
)
def test_each_failure_of_a_call_has_its_own_hint(error: PlatformError, hint: str) -> None:
    """A platform that fails is not helped by a look at the network."""
    assert hint in hint_of(error)


OTHER_PRODUCT = error_of("c", 403, "of product 'x'")
NO_ORG = error_of("c", 404, "")


@pytest.mark.parametrize(
    ("error", "stranger", "level"),
    [
        (NO_ORG, OTHER_PRODUCT, Level.OK),
        (error_of("c", 422, ""), OTHER_PRODUCT, Level.OK),
        (NO_ORG, NO_ORG, Level.NOT_CHECKED),
        (OTHER_PRODUCT, OTHER_PRODUCT, Level.FAILURE),
        (None, None, Level.WARNING),
        (error_of("c", 401, ""), error_of("c", 401, ""), Level.NOT_CHECKED),
        (error_of("c", 503, ""), error_of("c", 503, ""), Level.NOT_CHECKED),
    ],
)
def test_the_policys_product(
    error: PlatformError, stranger: PlatformError | None, level: Level
) -> None:
    """403 contradicts it; only a platform that refuses another product has looked at it."""
    assert of_product(error, stranger, "acme-notes").level is level


@pytest.mark.parametrize(
    ("networks", "shared_ids", "levels"),
    [
        ("", False, [Level.NOT_CHECKED]),
        ("10.0.0.0/8 fc00::/7", True, [Level.NOT_CHECKED]),
        ("10.0.0.0/8", False, [Level.WARNING, Level.NOT_CHECKED]),
        ("0.0.0.0/0", True, [Level.FAILURE, Level.NOT_CHECKED]),
        ("::/0", True, [Level.FAILURE, Level.NOT_CHECKED]),
    ],
)
def test_trusted_proxies(networks: str, levels: list[Level], *, shared_ids: bool) -> None:
    """What a proxy passes on cannot be seen from here, so no line says that it is well."""
    trusted = parse_networks(networks) if networks else ()
    found = of_networks(trusted, shared_ids=shared_ids)
    assert [each.level for each in found] == levels
    assert all(each.hint for each in found)


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
    for line in (
        ok("a", "b"), not_checked("a", "b"), warning("a", "b", "c"), failure("a", "b", "c"),
        ok("a", "b"),
    ):  # fmt: skip
        lines.append(line)
        seen.append(worst(lines))
    assert seen == [Level.OK] * 3 + [Level.WARNING] + [Level.FAILURE] * 2
