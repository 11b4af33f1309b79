"""From bytes to a policy, or to every problem."""

from __future__ import annotations

import hashlib
import os

import pytest

from sidecar.domain.choices import (
    Accuracy,
    Action,
    Enforcement,
    ErrorFormat,
    OnOverQuota,
    OnPlatformError,
    OnReplay,
    Refund,
)
from sidecar.domain.credentials import BearerSource, CookieSource
from sidecar.policy.amounts import ConstantAmount, HeaderAmount, JsonAmount, Scale
from sidecar.policy.compiled import FailOpenBudget, Meter, Policy
from sidecar.policy.json_pointer import JsonPointer
from sidecar.policy.load import find_problems, load_policy
from sidecar.policy.problems import PolicyError

INTERFACE = b"""\
version: 1
product: acme-notes
identity:
  - cookie: bb_at
  - bearer: true
  - cookie: acme-notes_session
    secret_env: APP_SESSION_SECRET
defaults:
  resource: ai_calls
  amount: 1
  accuracy: exact
  on_over_quota: deny
  on_platform_error: fail_open
  fail_open_budget: {units: 1000, seconds: 900}
  platform_timeout: 250ms
  refund: unreached
  replay: charge
  enforcement: enforce
  errors: problem
  deny_status: 429
routes:
  - name: chat
    match: {path: /api/v1/chat/**, methods: [POST]}
    meter:
      amount: {json: /n, default: 1, max: 16}
  - name: premium-model
    match: {path: /api/v1/complete, methods: [POST]}
    meter:
      amount: {json: /model, map: {gpt-big: 5, gpt-small: 1}, default: 1}
  - name: upload
    match: {path: /api/files/*, methods: [PUT]}
    meter:
      resource: storage_bytes
      amount: {header: content-length}
      on_platform_error: fail_closed
  - name: admin
    match: {path: /api/admin/**}
    action: deny
  - name: rest
    match: {path: /**}
    action: allow
unmatched: allow
"""
MINIMAL = b"""\
version: 1
product: acme
routes:
  - {name: all, match: {path: /**}, meter: {}}
"""
DEFAULT_METER = Meter(
    resource="ai_calls",
    amount=ConstantAmount(1),
    accuracy=Accuracy.EXACT,
    on_over_quota=OnOverQuota.DENY,
    on_platform_error=OnPlatformError.FAIL_OPEN,
    fail_open_budget=FailOpenBudget(1000, 900.0),
    platform_timeout=0.25,
    refund=Refund.UNREACHED,
    replay=OnReplay.CHARGE,
    enforcement=Enforcement.ENFORCE,
    deny_status=429,
    body_limit=1 << 20,
)


def load(data: bytes) -> Policy:
    """Compile a policy whose secret is set."""
    return load_policy(data, file="p.yaml", environ={"APP_SESSION_SECRET": "s3cret"})


def meter_of(data: bytes) -> Meter:
    """Return the meter of the first route."""
    meter = load(data).routes[0].meter
    assert meter is not None
    return meter


def test_sample_of_the_interface() -> None:
    """The file that the interface shows is taken as it is."""
    policy = load(INTERFACE)
    assert (policy.product, policy.version, policy.errors) == ("acme-notes", 1, ErrorFormat.PROBLEM)
    assert policy.identity == (
        CookieSource("bb_at"),
        BearerSource(),
        CookieSource("acme-notes_session", secret=b"s3cret"),
    )
    assert [route.name for route in policy.routes] == [
        "chat", "premium-model", "upload", "admin", "rest",
    ]  # fmt: skip
    assert policy.unmatched.action is Action.ALLOW
    assert policy.hash == hashlib.sha256(INTERFACE).hexdigest()


def test_sample_resolves_its_defaults() -> None:
    """Every default of the sample is the default of the format."""
    assert meter_of(MINIMAL) == DEFAULT_METER
    plain = INTERFACE.replace(b"amount: {json: /n, default: 1, max: 16}", b"amount: 1")
    assert meter_of(plain) == DEFAULT_METER


def test_amounts_are_compiled() -> None:
    """Body, map and header, each with its scale."""
    amounts = [route.meter.amount for route in load(INTERFACE).routes if route.meter]
    json, model, upload = amounts
    assert isinstance(json, JsonAmount)
    assert json.scale == Scale(default=1, maximum=16)
    assert isinstance(model, JsonAmount)
    assert model.scale == Scale(weights={"gpt-big": 5, "gpt-small": 1}, default=1)
    assert upload == HeaderAmount(b"content-length", Scale(minimum=0))


def test_counted_and_multiplied_amounts_are_compiled() -> None:
    """Each factor with its own scale."""
    text = b"""
version: 1
product: acme
defaults:
  amount: {json: /n, default: 1, max: 64, times: {json: /prompt, count: true, max: 8}}
routes:
  - {name: a, match: {path: /**}, meter: {}}
"""
    prompts = JsonAmount(JsonPointer.parse("/prompt"), Scale(maximum=8), count=True)
    n = JsonAmount(JsonPointer.parse("/n"), Scale(default=1, maximum=64), times=prompts)
    assert meter_of(text).amount == n


def test_only_an_empty_upload_is_free() -> None:
    """Content-Length 0 is no free AI call."""
    text = b"""
version: 1
product: acme
routes:
  - {name: a, match: {path: /**}, meter: {amount: {header: Content-Length}}}
"""
    assert meter_of(text).amount == HeaderAmount(b"content-length", Scale(minimum=1))


def test_left_out_keys() -> None:
    """Nothing is let through by being left out; tokens are where the platform puts them."""
    policy = load(MINIMAL)
    assert policy.unmatched.action is Action.DENY
    assert policy.identity == (CookieSource("bb_at"), BearerSource())


def test_meter_overrides_defaults() -> None:
    """Each key on its own, the parts of the budget too."""
    meter = meter_of(b"""
version: 1
product: acme
defaults: {replay: reject, fail_open_budget: {units: 7, seconds: 2m}, platform_timeout: 0.1}
routes:
  - name: a
    match: {path: /**}
    meter:
      resource: seats
      accuracy: lease
      on_over_quota: allow
      on_platform_error: last_known
      fail_open_budget: {units: 3}
      platform_timeout: 1s
      refund: failed
      enforcement: shadow
      deny_status: 402
      body_limit: 10
""")
    assert meter == Meter(
        resource="seats",
        amount=ConstantAmount(1),
        accuracy=Accuracy.LEASE,
        on_over_quota=OnOverQuota.ALLOW,
        on_platform_error=OnPlatformError.LAST_KNOWN,
        fail_open_budget=FailOpenBudget(3, 120.0),
        platform_timeout=1.0,
        refund=Refund.FAILED,
        replay=OnReplay.REJECT,
        enforcement=Enforcement.SHADOW,
        deny_status=402,
        body_limit=10,
    )


def test_errors_of_each_kind_of_route() -> None:
    """A meter's own, an action's own, and what neither says."""
    policy = load(b"""
version: 1
product: acme
defaults: {errors: openai}
routes:
  - {name: a, match: {path: /a}, meter: {errors: anthropic}}
  - {name: b, match: {path: /b}, meter: {}}
  - {name: c, match: {path: /c}, action: deny, errors: problem}
  - {name: d, match: {path: /d}, action: deny}
""")
    assert [route.errors.value for route in policy.routes] == [
        "anthropic", "openai", "problem", "openai",
    ]  # fmt: skip
    assert policy.unmatched.errors is policy.errors is ErrorFormat.OPENAI


BAD = b"""\
version: 2
product: acme
identty: []
defaults:
  resource: ai_cals
  platform_timeout: 5 minutes
  accuracy:
routes:
  - name: a
    match: {path: api, methods: [post]}
    meter: {amount: {json: n, default: 5, max: 3}}
  - name: a
    match: {path: /a/**, path: /b}
    meter: {}
    action: allow
  - name: c
    match: {path: /a/b}
    action: deny
"""


REPORT = """\
p:1:10: `version` must be 1, not 2
p:3:1: unknown key `identty`; did you mean `identity`?
p:5:13: `resource` must be 'ai_calls', 'api_calls', 'storage_bytes' or 'seats', \
not 'ai_cals'
p:6:21: `platform_timeout`: '5 minutes' is not a duration: write 250ms, 1s, 2m or \
plain seconds
p:7:12: nothing is given here: give a value, or leave out the key where it is optional
p:10:19: `path`: path 'api' must start with '/'
p:10:34: an entry of `methods`: 'post' is not a method: write it in upper case, \
such as POST
p:11:28: `json`: JSON pointer 'n' must start with '/'
p:11:40: `default` 5 is over `max` 3
p:12:5: a route has both `meter` and `action`: give exactly one
p:12:11: duplicate route name `a`, first on line 9
p:13:26: duplicate key `path`: it is on line 13 already
p:16:5: unreachable: `a` on line 12 matches all its calls; put the narrower route first
"""


def test_all_problems_in_one_report() -> None:
    """Form, shape and rules together, each where it stands, in the file's order."""
    found = find_problems(BAD, file="p", environ=None)
    assert "".join(f"{problem}\n" for problem in found) == REPORT


def test_bad_policy_raises_with_all_problems() -> None:
    """A sidecar that cannot read its policy does not start."""
    with pytest.raises(PolicyError, match=r"p.yaml:1:10: .* \(and 12 more") as raised:
        load(BAD)
    assert len(raised.value.problems) == 13


def test_missing_secret_is_a_problem_with_its_line() -> None:
    """The name of the variable, and where the file asks for it."""
    with pytest.raises(PolicyError, match=r"p:7:17: environment variable APP_SESSION_SECRET"):
        load_policy(INTERFACE, file="p", environ={})


def test_a_secret_is_the_bytes_of_its_variable() -> None:
    """Bytes that are no UTF-8 are a secret like any other."""
    policy = load_policy(
        INTERFACE, file="p", environ={"APP_SESSION_SECRET": os.fsdecode(b"\xffs3cret")}
    )
    [session] = [each for each in policy.identity if isinstance(each, CookieSource) and each.secret]
    assert session.secret == b"\xffs3cret"


def test_secret_is_in_no_representation() -> None:
    """A policy that is logged by mistake says nothing."""
    assert "s3cret" not in repr(load(INTERFACE).identity)


ROUTE = "routes: [{name: a, match: {path: /a}, meter: {}}]\n"


@pytest.mark.parametrize(
    ("notices", "levels"),
    [
        ("", ()),
        ("notices: {}\n", (80, 100)),
        ("notices: {at: [50]}\n", (50,)),
    ],
)
def test_notices_are_off_unless_they_are_named(notices: str, levels: tuple[int, ...]) -> None:
    """An empty mapping takes the defaults."""
    text = f"version: 1\nproduct: acme\n{notices}{ROUTE}"
    assert load_policy(text.encode(), file="p", environ={}).notices == levels


@pytest.mark.parametrize("at", ["[]", "[0]", "[101]", "[100, 80]", "[80, 80]", "80", "[eighty]"])
def test_levels_that_are_none(at: str) -> None:
    """Percent, ascending, at least one."""
    text = f"version: 1\nproduct: acme\nnotices: {{at: {at}}}\n{ROUTE}"
    (problem,) = find_problems(text.encode(), file="p", environ=None)
    assert problem.line == 3
