"""What of a head reaches the other side: conformance families 19 to 24."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.domain.model import Call, Decision, Reason, RequestIdOrigin
from sidecar.domain.ports import BodySource
from sidecar.policy.compiled import UnsafePath
from sidecar.policy.load import load_policy
from tests.fakes.engines import AllowingEngine, MarkingEngine, RefusingEngine
from tests.fakes.upstreams import Received, ScriptedUpstream
from tests.plane import Answer, staged

LOCAL: Final = "127.0.0.0/8"


async def sent(*fields: bytes, trusted: bool = False, target: bytes = b"/") -> Received:
    """Send a request with these field lines; return what the upstream got."""
    request = b"\r\n".join(
        (b"GET %b HTTP/1.1" % target, b"Host: a.example:8080", *fields, b"", b"")
    )
    async with (
        ScriptedUpstream() as upstream,
        staged(upstream=upstream, trusted=[LOCAL] if trusted else []) as stage,
    ):
        answer = await stage.ask(request)
        assert answer.status == 200, answer
        (received,) = upstream.requests
    return received


async def came(*fields: bytes, engine: AllowingEngine | None = None, path: bytes = b"/") -> Answer:
    """Have the upstream answer with these field lines; return what the client got."""
    answer = b"\r\n".join((b"HTTP/1.1 200 OK", b"Content-Length: 2", *fields, b"", b"ok"))
    async with (
        ScriptedUpstream(answer) as upstream,
        staged(engine or AllowingEngine(), upstream) as stage,
    ):
        return await stage.ask(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path)


HOP_BY_HOP: Final = [
    b"Connection: x-mine, keep-alive", b"X-Mine: y", b"Keep-Alive: timeout=5", b"TE: trailers",
    b"Proxy-Connection: keep-alive", b"Proxy-Authorization: Basic eA==", b"Trailer: X-Sum",
    b"Proxy-Authenticate: Basic", b"Upgrade: h2c",
]  # fmt: skip
DROPPED: Final = {field.split(b":")[0].lower() for field in HOP_BY_HOP}


async def test_hop_by_hop_fields_end_here() -> None:
    """19: neither they nor what Connection names reach the upstream."""
    received = await sent(*HOP_BY_HOP)
    assert {name for name, _ in received.headers} & DROPPED == set()


async def test_hop_by_hop_fields_of_an_answer_end_here() -> None:
    """19: neither they nor what Connection names reach the client."""
    answer = await came(*HOP_BY_HOP)
    ours = {b"connection": b"keep-alive", b"keep-alive": b"timeout=620"}
    assert {field for field in answer.headers if field[0] in DROPPED} == set(ours.items())


@pytest.mark.parametrize(
    "name", [b"x-bb-org-id", b"x-request-id", b"x-forwarded-for", b"host", b"content-length"]
)
async def test_connection_names_none_of_ours_away(name: bytes) -> None:
    """19: what the sidecar sets is there, whatever the client says of it in Connection."""
    received = await sent(b"Connection: " + name, b"Content-Length: 0")
    assert len(received.values(name)) == 1


async def test_an_answers_connection_does_not_name_its_length_away() -> None:
    """19: the framing of an answer stays, so that the client never reads too far."""
    answer = await came(b"Connection: content-length, x-request-id")
    assert answer.values(b"content-length") == [b"2"]
    assert len(answer.values(b"x-request-id")) == 1


@pytest.mark.parametrize(
    "field",
    [
        b"X-BB-Org-Id: evil", b"x-bb-org-id: evil", b"X-Bb-OrG-iD: evil", b"X_BB_Org_Id: evil",
        b"X-BB_Org-Id: evil", b"X-BB-Anything: evil", b"x_bb_role: evil",
        b"X.BB.Org.Id: evil", b"X~BB!Org'Id: evil", b"X-BB-Org+Id: evil",
        b"X-BB-Org-Id: evil\r\nX-BB-Org-Id: evil", b"Connection: x-bb-org-id\r\nX-BB-Org-Id: evil",
    ],
)  # fmt: skip
async def test_identity_cannot_be_brought_along(field: bytes) -> None:
    """20: in any case, twice, or with underscores, a client's identity fields are dropped."""
    received = await sent(field)
    assert b"evil" not in [value for _, value in received.headers]
    ours = {name: value for name, value in received.headers if b"bb" in name}
    assert ours == {
        b"x-bb-org-id": b"org_acme",
        b"x-bb-user-id": b"user_1",
        b"x-bb-plan": b"pro",
        b"x-bb-role": b"org_owner",
    }


@pytest.mark.parametrize("field", [b"X_Tier: y", b"Author_ization: y", b"_: y", b"Cookie_: y"])
async def test_no_name_with_an_underscore_passes(field: bytes) -> None:
    """20: behind many servers it is the name with a hyphen, and would say what we did not see."""
    received = await sent(field, b"X-Tier: x")
    assert [name for name, value in received.headers if b"_" in name or value == b"y"] == []
    assert received.values(b"x-tier") == [b"x"]


@pytest.mark.parametrize(
    ("connection", "decided_on"),
    [
        (b"keep-alive", [b"content-length", b"host", b"x-n"]),
        (b"X-N", [b"content-length", b"host"]),
        (b"x-n, content-length, host", [b"content-length", b"host"]),
    ],
)
async def test_what_connection_takes_away_decides_nothing(
    connection: bytes, decided_on: list[bytes]
) -> None:
    """19: a call is decided on the fields that the product will see, and on no other."""
    engine = AllowingEngine()
    request = b"POST / HTTP/1.1\r\nHost: a\r\nX-N: 1\r\nContent-Length: 0\r\nConnection: %b\r\n\r\n"
    async with ScriptedUpstream() as upstream, staged(engine, upstream) as stage:
        await stage.ask(request % connection)
        (call,), (received,) = engine.calls, upstream.requests
    seen = {b"x-n", b"content-length", b"host"}
    assert sorted(name for name, _ in call.headers if name in seen) == decided_on
    assert sorted(name for name, _ in received.headers if name in seen) == decided_on


@pytest.mark.parametrize(
    ("field", "decided_on"),
    [
        (b"X.N: 9", [b"1", b"9"]),
        (b"X+N: 9", [b"1", b"9"]),
        (b"X_N: 9", [b"1"]),
        (b"X_N: 9\r\nX.A: 1", [b"1"]),
        (b"X.N: 9\r\nConnection: x.n", [b"1"]),
    ],
)
async def test_a_name_decides_as_the_most_careless_product_reads_it(
    field: bytes, decided_on: list[bytes]
) -> None:
    """Behind lighttpd all punctuation is one sign: one price was shown here, and another there."""
    engine = AllowingEngine()
    request = b"GET / HTTP/1.1\r\nHost: a\r\nX-N: 1\r\n%b\r\n\r\n"
    async with ScriptedUpstream() as upstream, staged(engine, upstream) as stage:
        await stage.ask(request % field)
        (call,) = engine.calls
    assert [value for name, value in call.headers if name == b"x-n"] == decided_on


@pytest.mark.parametrize(
    ("connection", "upgrade", "decided"),
    [
        (b"Upgrade", b"WebSocket", [b"WebSocket"]),
        (b"upgrade, x-n", b"websocket", [b"websocket"]),
        (b"keep-alive", b"websocket", []),
        (b"upgrade", b"websocket, h2c", []),
        (b"upgrade", b"h2c", []),
    ],
)
async def test_an_upgrade_decides_where_the_product_gets_it(
    connection: bytes, upgrade: bytes, decided: list[bytes]
) -> None:
    """52: naming more in Connection hides no upgrade, and what is dropped opens no route."""
    engine = AllowingEngine()
    request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: %b\r\nUpgrade: %b\r\nX-N: 1\r\n\r\n"
    async with ScriptedUpstream() as upstream, staged(engine, upstream) as stage:
        await stage.ask(request % (connection, upgrade))
        (call,), (received,) = engine.calls, upstream.requests
    assert [value for name, value in call.headers if name == b"upgrade"] == decided
    assert received.values(b"upgrade") == decided


FORWARDED: Final = [
    b"X-Forwarded-For: 6.6.6.6", b"X-Forwarded-Proto: https", b"X-Forwarded-Host: evil",
    b"X-Forwarded-Port: 666", b"X-Forwarded-Prefix: /evil", b"Forwarded: for=6.6.6.6",
    b"X-Real-IP: 6.6.6.6", b"X_Forwarded_For: 6.6.6.6", b"X.Forwarded.For: 6.6.6.6",
    b"X-Original-URL: /evil", b"X-Rewrite-URL: /evil",
]  # fmt: skip


async def test_forwarded_fields_of_a_stranger_are_replaced() -> None:
    """21: only what the sidecar saw itself reaches the upstream."""
    received = await sent(*FORWARDED)
    assert [value for _, value in received.headers if b"6" in value or b"evil" in value] == []
    assert received.values(b"x-forwarded-for") == [b"127.0.0.1"]
    assert received.values(b"x-forwarded-proto") == [b"http"]
    assert received.values(b"x-forwarded-host") == [b"a.example:8080"]


async def test_forwarded_fields_of_a_trusted_proxy_are_extended() -> None:
    """21: the chain goes on with the proxy's own address, and its other words are believed."""
    received = await sent(*FORWARDED, b"X-Forwarded-For: 7.7.7.7", trusted=True)
    assert received.values(b"x-forwarded-for") == [b"6.6.6.6, 7.7.7.7, 127.0.0.1"]
    assert received.values(b"forwarded") == [b"for=6.6.6.6, for=127.0.0.1"]
    assert received.values(b"x-forwarded-proto") == [b"https"]
    assert received.values(b"x-forwarded-host") == [b"evil"]
    assert received.values(b"x-forwarded-port") == [b"666"]


@pytest.mark.parametrize("field", [b"X-Original-URL: /evil", b"X_Forwarded_For: 6.6.6.6"])
async def test_even_a_trusted_proxy_cannot_rewrite(field: bytes) -> None:
    """21: a path in a field, or a field in disguise, is dropped whoever sends it."""
    name = field.split(b":")[0].lower()
    assert (await sent(field, trusted=True)).values(name) == []


@pytest.mark.parametrize(
    "target",
    [
        b"/a%2fb?c=%zz&d=%00#"[:-1], b"/%61%zz", b"/a//b/./c/../d", b"/a;p=1/b;q?x;y", b"/?",
        b"/a?b?c", b"/a%", b"/%e2%82%ac?%E2%82%AC", b"/a\\b", b"/a|b^c`d{e}", b"/a?[]<>\"'",
        b"*",
    ],
)  # fmt: skip
async def test_the_target_passes_byte_for_byte(target: bytes) -> None:
    """23: odd escapes, dots and slashes included; deciding what they mean changes nothing."""
    request = b"OPTIONS %b HTTP/1.1\r\nHost: a\r\n\r\n" % target
    async with ScriptedUpstream() as upstream, staged(upstream=upstream) as stage:
        await stage.ask(request)
        assert upstream.bytes[0].startswith(b"OPTIONS %b HTTP/1.1\r\n" % target)


@pytest.mark.parametrize(
    "field",
    [b"X-HTTP-Method-Override: GET", b"X-Method-Override: GET", b"X-HTTP-Method: GET"],
)
async def test_method_overrides_change_nothing_here(field: bytes) -> None:
    """24: the call is decided as the method that it has, and passed on as it came."""
    engine = AllowingEngine()
    request = b"POST /paid HTTP/1.1\r\nHost: a\r\n%b\r\nContent-Length: 0\r\n\r\n" % field
    async with ScriptedUpstream() as upstream, staged(engine, upstream) as stage:
        await stage.ask(request)
        assert [call.method for call in engine.calls] == ["POST"]
        assert [received.method for received in upstream.requests] == ["POST"]


@pytest.mark.parametrize(
    ("cookie", "kept"),
    [
        (b"a=1; bb_session=s; b=2", [b"a=1; b=2"]),
        (b"bb_session=s; a=1", [b"a=1"]),
        (b"a=1; bb_session=s", [b"a=1"]),
        (b"a=1;bb_session=s;b=2;  c=3", [b"a=1;b=2;  c=3"]),
        (b"bb_session=s", []),
        (b"a=1; bb_session", [b"a=1"]),
        (b"a=1; bb_session =s", [b"a=1"]),
        (b'a="x y"; bb_sessions=1; my_bb_session=2; b=bb_session=3', None),
        (b"BB_SESSION=1;;  a = 1 ;", None),
        (b"bb_at=t; acme_session=u", None),
    ],
)
async def test_only_the_platforms_session_is_taken_out(
    cookie: bytes, kept: list[bytes] | None
) -> None:
    """The platform's own cookie goes; every other byte of Cookie stays as it came."""
    received = await sent(b"Cookie: " + cookie)
    assert received.values(b"cookie") == ([cookie] if kept is None else kept)


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ([b"X-Request-ID: abc-1"], True),
        ([b"X-Request-ID: " + b"a" * 128], True),
        ([b"X-Request-ID: " + b"a" * 129], False),
        ([b"X-Request-ID: a b"], False),
        ([b"X-Request-ID: <script>"], False),
        ([b"X-Request-ID:"], False),
        ([b"X-Request-ID: a", b"X-Request-ID: b"], False),
    ],
)
async def test_a_request_id_is_taken_only_where_it_is_one(
    fields: list[bytes], *, kept: bool
) -> None:
    """One plain ID is passed on, and told the client; anything else gets a new one."""
    request = b"\r\n".join((b"GET / HTTP/1.1", b"Host: a", *fields, b"", b""))
    given = fields[0].partition(b":")[2].strip()
    async with ScriptedUpstream() as upstream, staged(upstream=upstream) as stage:
        answer = await stage.ask(request)
        (told,) = answer.values(b"x-request-id")
        assert (told == given) is kept
        assert upstream.requests[0].values(b"x-request-id") == [told]


@pytest.mark.parametrize(
    ("trusted", "origin"),
    [([LOCAL], RequestIdOrigin.TRUSTED), ([], RequestIdOrigin.CLIENT)],
    ids=["trusted", "stranger"],
)
async def test_whose_request_id_it_is(trusted: list[str], origin: RequestIdOrigin) -> None:
    """The engine hears whether a trusted proxy chose the ID: only then is it believed."""
    engine = AllowingEngine()
    async with staged(engine, trusted=trusted) as stage:
        await stage.ask(b"GET / HTTP/1.1\r\nHost: a\r\nX-Request-ID: x\r\n\r\n")
    assert [call.request_id_origin for call in engine.calls] == [origin]


async def test_an_answer_cannot_speak_for_the_sidecar() -> None:
    """Quota fields, marks and the ID of an upstream's answer give way to ours."""
    answer = await came(
        b"X-Quota-Decision: fail_open", b"RateLimit: x", b"RateLimit-Policy: x", b"X-Request-ID: x"
    )
    assert answer.values(b"x-quota-decision") == []
    assert answer.values(b"ratelimit-policy") == [b'"ai_calls";q=25;w=2592000']
    assert len(answer.values(b"ratelimit")) == 1
    assert b"x" not in answer.values(b"x-request-id")


async def test_a_products_own_limits_pass_where_we_tell_none() -> None:
    """A marked answer has no quota fields of ours, so that those of the product stay."""
    answer = await came(b"RateLimit: x", engine=MarkingEngine())
    assert answer.values(b"x-quota-decision") == [b"fail_open"]
    assert answer.values(b"ratelimit") == [b"x"]


async def test_a_refusal_of_head_has_no_body() -> None:
    """A refused HEAD gets the head of the refusal, and the next request its own answer."""
    async with staged(RefusingEngine()) as stage, stage.client() as client:
        await client.send(b"HEAD /deny HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await client.answer("HEAD")).status == 429
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await client.answer()).status == 200


POLICY: Final = b"""
version: 1
product: acme-notes
identity: [{cookie: bb_at}]
routes:
  - {name: paid, match: {path: /paid/**, methods: [GET, POST]}, meter: {}}
  - {name: free, match: {path: /**}, action: allow}
unmatched: allow
"""


class RoutingEngine(AllowingEngine):
    """Decides by the routes of `POLICY`; notes what it would have charged for."""

    def __init__(self) -> None:
        super().__init__()
        self.metered: list[str] = []
        self._policy = load_policy(POLICY, file="policy.yaml", environ={})

    async def decide(self, call: Call, body: BodySource) -> Decision:
        route = self._policy.route_for(call.method, call.path, call.headers)
        if isinstance(route, UnsafePath):
            return Decision(Reason.BAD_REQUEST, "none", call.request_id, None, status=400)
        if route.meter is not None:
            self.metered.append(call.path)
        return self.allow(call)


@pytest.mark.parametrize(
    "target",
    [
        b"/free/../paid", b"/free/%2e%2e/paid", b"/free/.%2E/paid", b"//paid", b"/./paid",
        b"/%70aid", b"/%50aid", b"/paid%2f", b"/paid/", b"/paid//", b"/paid/.", b"/paid/x/..",
        b"/free\\..\\paid", b"/\\paid", b"/paid;x", b"/paid;x=1", b"/free/..;/paid", b"/paid?x",
        b"/paid?/../free", b"/paid%00", b"/PAID", b"/paid.", b"/paid%20",
        b"/%2570aid", b"/paid%zz", b"http://a/paid", b"HTTP://A/paid", b"http://a//paid",
    ],
)  # fmt: skip
async def test_a_metered_path_is_metered_in_every_spelling(target: bytes) -> None:
    """22: metered or refused, never let by."""
    engine = RoutingEngine()
    request = b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % target
    async with ScriptedUpstream() as upstream, staged(engine, upstream) as stage:
        answer = await stage.ask(request)
    assert engine.metered or (answer.status == 400 and upstream.untouched)


@pytest.mark.parametrize("host", [b"A", b"a.", b"a:80", b"other.example"])
async def test_a_metered_path_is_metered_under_every_host(host: bytes) -> None:
    """22: the host, in whatever case and with a trailing dot, changes nothing."""
    engine = RoutingEngine()
    async with staged(engine) as stage:
        await stage.ask(b"GET /paid HTTP/1.1\r\nHost: %b\r\n\r\n" % host)
    assert engine.metered == ["/paid"]
