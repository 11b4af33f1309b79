"""The ready-made policies: what each decides on a few calls."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import pytest

from sidecar.domain.choices import Action, Enforcement, ErrorFormat, OnPlatformError, OnReplay
from sidecar.domain.usage import OnMissing, OnOverrun, UsageFormat
from sidecar.policy.amounts import UnreadableAmount
from sidecar.policy.compiled import Policy, Route
from sidecar.policy.load import find_problems, load_policy
from sidecar.usage.estimate import Estimator

FOLDER: Final = Path(__file__).parents[3] / "policies"
NAMES: Final = sorted(path.stem for path in FOLDER.glob("*.yaml"))
TOKENS: Final = ("anthropic-tokens", "gemini-tokens", "openai-tokens")


@cache
def shipped(name: str) -> Policy:
    """Return a policy as it is shipped."""
    path = FOLDER / f"{name}.yaml"
    return load_policy(path.read_bytes(), file=str(path), environ={})


def route(name: str, method: str, path: str) -> Route:
    """Return the route of a call."""
    found = shipped(name).route_for(method, path, ())
    assert isinstance(found, Route)
    return found


def cost(name: str, path: str, body: bytes) -> int | UnreadableAmount:
    """Return what a POST costs."""
    meter = route(name, "POST", path).meter
    assert meter is not None
    return meter.amount.read((), body)


def test_names() -> None:
    """Those that the documents speak of."""
    assert set(NAMES) == {"default", "openai", "shadow", "strict", *TOKENS}


@pytest.mark.parametrize("name", NAMES)
def test_has_no_warning(name: str) -> None:
    """What a team starts from is as `check` would have it."""
    data = (FOLDER / f"{name}.yaml").read_bytes()
    assert find_problems(data, file=name, environ=None) == []


@pytest.mark.parametrize("name", NAMES)
def test_says_when_to_use_it(name: str) -> None:
    """A schema for the editor, then a comment of some lines for the reader."""
    lines = (FOLDER / f"{name}.yaml").read_text().splitlines()
    assert lines[0] == "# yaml-language-server: $schema=./schema.json"
    assert all(line.startswith("#") for line in lines[:6])


@pytest.mark.parametrize(
    ("name", "method", "path", "action"),
    [
        ("default", "GET", "/api/v1/notes", Action.ALLOW),
        ("default", "GET", "/", Action.ALLOW),
        ("openai", "GET", "/v1/models", Action.ALLOW),
        ("openai", "GET", "/health", Action.ALLOW),
        ("strict", "GET", "/api/v1/notes", Action.ALLOW),
        ("strict", "GET", "/health", Action.ALLOW),
        ("strict", "GET", "/auth/sso", Action.ALLOW),
        ("strict", "GET", "/bootstrap", Action.ALLOW),
        ("strict", "GET", "/", Action.DENY),
        ("strict", "DELETE", "/api/v1/notes", Action.DENY),
        ("strict", "POST", "/health", Action.DENY),
        ("shadow", "GET", "/api/v1/notes", Action.ALLOW),
        ("openai-tokens", "GET", "/v1/models", Action.ALLOW),
        ("openai-tokens", "POST", "/v1/batches", Action.DENY),
        ("openai-tokens", "POST", "/batches", Action.DENY),
        ("openai-tokens", "POST", "/v1/realtime", Action.DENY),
        ("openai-tokens", "POST", "/v1/realtime/client_secrets", Action.DENY),
        ("openai-tokens", "POST", "/v1/realtime/calls", Action.DENY),
        ("anthropic-tokens", "POST", "/v1/messages/count_tokens", Action.ALLOW),
        ("anthropic-tokens", "POST", "/v1/messages/batches", Action.DENY),
        ("anthropic-tokens", "GET", "/v1/models", Action.ALLOW),
        ("gemini-tokens", "GET", "/v1beta/models", Action.ALLOW),
    ],
)
def test_unmetered_calls(name: str, method: str, path: str, action: Action) -> None:
    """What is free, and what is refused."""
    assert route(name, method, path).action is action


def test_a_batch_is_refused() -> None:
    """Its up to 50,000 requests are in a file; one unit for all is nearly free."""
    assert route("openai", "POST", "/v1/batches").action is Action.DENY


@pytest.mark.parametrize("name", ["default", "strict", "shadow"])
def test_ai_calls_are_metered(name: str) -> None:
    """A POST below the API's path costs one AI call."""
    meter = route(name, "POST", "/api/v1/chat").meter
    assert meter is not None
    assert (meter.resource, cost(name, "/api/v1/chat", b"")) == ("ai_calls", 1)


@pytest.mark.parametrize("upgrade", [b"websocket", b"WebSocket", b"websocket/13"])
@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("default", "/api/v1/chat"),
        ("default", "/ws"),
        ("shadow", "/api/v1/chat"),
        ("strict", "/api/v1/chat"),
        ("openai", "/v1/realtime"),
        ("openai", "/v1/responses"),
        ("openai", "/v1/models"),
        ("openai", "/realtime"),
        ("openai-tokens", "/v1/realtime"),
    ],
)
def test_a_websocket_is_metered(name: str, path: str, upgrade: bytes) -> None:
    """Conformance 52: it is a GET that leads to a model."""
    found = shipped(name).route_for("GET", path, [(b"upgrade", upgrade)])
    assert isinstance(found, Route)
    assert found.meter is not None


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("openai-tokens", "/v1/responses"),
        ("openai-tokens", "/v1/models"),
        ("anthropic-tokens", "/v1/messages"),
        ("gemini-tokens", "/ws/google.ai.generativelanguage"),
    ],
)
def test_a_websocket_whose_tokens_are_not_seen_is_refused(name: str, path: str) -> None:
    """One unit for any number of calls over it is nearly free."""
    found = shipped(name).route_for("GET", path, [(b"upgrade", b"websocket")])
    assert isinstance(found, Route)
    assert found.action is Action.DENY


@pytest.mark.parametrize("path", ["/chat/completions", "/invocations", "/v2/rerank", "/v1/files"])
def test_every_post_of_an_openai_server_is_metered(path: str) -> None:
    """Compatible servers have ways to a model beside /v1."""
    assert route("openai", "POST", path).meter is not None


@pytest.mark.parametrize("path", ["/", "/other", "/v1/files", "/prefix/v1/messages"])
@pytest.mark.parametrize("name", TOKENS)
def test_every_post_of_a_policy_by_tokens_is_metered(name: str, path: str) -> None:
    """No way to a model is free because it is not listed."""
    assert route(name, "POST", path).meter is not None


GPT: Final = "/v1/chat/completions"
RESPONSES: Final = "/v1/responses"
CLAUDE: Final = "/v1/messages"
GEMINI: Final = "/v1beta/models/gemini-small:streamGenerateContent"
VERTEX: Final = "/v1/projects/p/locations/l/publishers/google/models/gemini-small:generateContent"
AZURE: Final = "/openai/deployments/gpt-small/chat/completions"
A_QUESTION: Final = b'{"contents":[],"generationConfig":{"maxOutputTokens":1000}}'


@pytest.mark.parametrize(
    ("name", "path", "body", "held"),
    [
        ("openai-tokens", GPT, b'{"max_completion_tokens":1000}', 1000),
        ("openai-tokens", GPT, b'{"max_tokens":1000}', 1000),
        ("openai-tokens", GPT, b"{}", 4096),
        ("openai-tokens", "/v1/completions", b'{"max_tokens":1000}', 1000),
        ("openai-tokens", RESPONSES, b'{"max_output_tokens":1000}', 1000),
        ("anthropic-tokens", CLAUDE, b'{"max_tokens":1000}', 1000),
        ("gemini-tokens", GEMINI, A_QUESTION, 1000),
        ("gemini-tokens", VERTEX, A_QUESTION, 1000),
    ],
)
def test_a_call_of_a_model_is_held_and_settled(
    name: str, path: str, body: bytes, held: int
) -> None:
    """One unit as a deposit, and the output that the call announces is held."""
    meter = route(name, "POST", path).meter
    assert meter is not None
    assert meter.usage is not None
    assert (meter.resource, cost(name, path, body)) == ("ai_calls", 1)
    assert meter.usage.hold is not None
    announced = Estimator(meter.usage.hold).read(body).output
    assert (meter.usage.hold.default if announced is None else announced) == held


@pytest.mark.parametrize(
    ("name", "path", "form", "missing"),
    [
        ("openai-tokens", GPT, UsageFormat.OPENAI, OnMissing.ESTIMATE),
        ("openai-tokens", RESPONSES, UsageFormat.OPENAI, OnMissing.HOLD),
        ("openai-tokens", "/v1/embeddings", UsageFormat.OPENAI, OnMissing.ESTIMATE),
        ("openai-tokens", "/chat/completions", UsageFormat.OPENAI, OnMissing.ESTIMATE),
        ("openai-tokens", AZURE, UsageFormat.OPENAI, OnMissing.ESTIMATE),
        ("openai-tokens", "/openai/responses", UsageFormat.OPENAI, OnMissing.HOLD),
        ("openai-tokens", "/v1/responses/compact", UsageFormat.OPENAI, OnMissing.HOLD),
        ("openai-tokens", CLAUDE, UsageFormat.ANTHROPIC, OnMissing.ESTIMATE),
        ("anthropic-tokens", "/anthropic/v1/messages", UsageFormat.ANTHROPIC, OnMissing.ESTIMATE),
        ("anthropic-tokens", GPT, UsageFormat.OPENAI, OnMissing.ESTIMATE),
        (
            "gemini-tokens",
            "/v1beta/openai/chat/completions",
            UsageFormat.OPENAI,
            OnMissing.ESTIMATE,
        ),
        ("anthropic-tokens", CLAUDE, UsageFormat.ANTHROPIC, OnMissing.ESTIMATE),
        ("gemini-tokens", GEMINI, UsageFormat.GEMINI, OnMissing.ESTIMATE),
    ],
)
def test_a_policy_by_tokens_reads_its_own_format(
    name: str, path: str, form: UsageFormat, missing: OnMissing
) -> None:
    """A thousand weighted tokens for a unit; no answer without usage is free.

    Also by another vendor's API, and under each path that servers have for it: any other POST is a
    single unit. A response costs its hold: one in the background has no text to be estimated.
    """
    meter = route(name, "POST", path).meter
    assert meter is not None
    assert meter.usage is not None
    assert (meter.usage.format, int(meter.usage.per)) == (form, 1000)
    assert (meter.usage.missing, meter.usage.overrun) == (missing, OnOverrun.BLOCK)
    assert meter.body_limit == 4 << 20


def test_each_response_of_a_realtime_session_is_charged() -> None:
    """One that is cut costs its hold: no estimate of text sees its audio."""
    upgrade = [(b"upgrade", b"websocket")]
    found = shipped("openai-tokens").route_for("GET", "/v1/realtime", upgrade)
    assert isinstance(found, Route)
    assert found.meter is not None
    usage = found.meter.usage
    assert usage is not None
    assert (usage.format, usage.missing) == (UsageFormat.OPENAI_REALTIME, OnMissing.HOLD)
    assert usage.hold is not None
    asked = b'{"type":"response.create","response":{"max_output_tokens":100}}'
    assert Estimator(usage.hold).read(asked).output == 100


def test_openai_streams_are_asked_for_their_usage() -> None:
    """Where the API knows the option; a response names its usage by itself."""
    asked = {
        each.name
        for each in shipped("openai-tokens").routes
        if each.meter and each.meter.usage and each.meter.usage.request_usage
    }
    assert asked == {"chat", "completions"}


@pytest.mark.parametrize(
    ("path", "body", "units"),
    [
        ("/v1/chat/completions", b'{"n":3}', 3),
        ("/v1/chat/completions", b"{}", 1),
        ("/v1/completions", b'{"n":16}', 16),
        ("/v1/completions", b'{"n":2,"prompt":["a","b","c"]}', 6),
        ("/v1/completions", b'{"n":null,"prompt":"a"}', 1),
        ("/v1/embeddings", b'{"input":["a","b","c"]}', 3),
        ("/v1/embeddings", b'{"input":"a"}', 1),
        ("/v1/responses", b'{"model":"gpt-big"}', 5),
        ("/v1/responses", b'{"model":"gpt-new"}', 1),
        ("/v1/images/generations", b'{"n":10}', 10),
        ("/v1/images/edits", b"--boundary", 1),
        ("/v1/embeddings", b"{}", 1),
    ],
)
def test_openai_amounts(path: str, body: bytes, units: int) -> None:
    """As many as asked for, large models for more."""
    assert cost("openai", path, body) == units


def test_openai_caps_what_is_asked_for() -> None:
    """No call of a thousand answers."""
    assert isinstance(cost("openai", "/v1/chat/completions", b'{"n":1000}'), UnreadableAmount)


def test_openai_refuses_as_openai_does() -> None:
    """Its SDK raises its own errors."""
    assert {route.errors for route in shipped("openai").routes} == {ErrorFormat.OPENAI}


def test_strict_is_closed() -> None:
    """No answer, no call; one request ID, one call."""
    meter = route("strict", "POST", "/api/v1/chat").meter
    assert meter is not None
    assert (meter.on_platform_error, meter.replay) == (OnPlatformError.FAIL_CLOSED, OnReplay.REJECT)


def test_shadow_enforces_nothing() -> None:
    """No meter refuses anything, no route denies."""
    policy = shipped("shadow")
    assert {r.meter.enforcement for r in policy.routes if r.meter} == {Enforcement.SHADOW}
    assert Action.DENY not in {r.action for r in (*policy.routes, policy.unmatched)}


@pytest.mark.parametrize("name", NAMES)
def test_the_preflight_of_a_pages_call_passes(name: str) -> None:
    """Either OPTIONS is free, or the route of the POST lets its preflight pass."""
    path = "/v1/chat/completions" if name.startswith("openai") else "/api/v1/chat"
    fields = [(b"origin", b"https://a.example"), (b"access-control-request-method", b"POST")]
    by = shipped(name).preflight_route("OPTIONS", path, fields)
    usual = shipped(name).route_for("OPTIONS", path, fields)
    assert by is not None or (isinstance(usual, Route) and usual.action is Action.ALLOW)


def test_the_closed_policy_lets_no_other_preflight_pass() -> None:
    """A path or a method that no route lists stays refused."""
    strict = shipped("strict")
    for path, asked in (("/api/v1/notes", b"DELETE"), ("/other", b"POST"), ("/health", b"POST")):
        fields = [(b"origin", b"https://a.example"), (b"access-control-request-method", asked)]
        assert strict.preflight_route("OPTIONS", path, fields) is None
