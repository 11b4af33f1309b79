"""A request is asked for its usage by inserted bytes, or not at all."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.usage.stream_options import may_be_asked, with_usage


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        (
            b' {"model": "m",  "stream":true}',
            b' {"stream_options":{"include_usage":true},"model": "m",  "stream":true}',
        ),
        (
            b'{"stream":true,"stream_options":null}',
            b'{"stream":true,"stream_options":{"include_usage":true}}',
        ),
        (
            b'{"stream":true,"stream_options": { }}',
            b'{"stream":true,"stream_options": {"include_usage":true }}',
        ),
        (
            b'{"stream_options":{"include_obfuscation":false},"stream":true}',
            b'{"stream_options":{"include_usage":true,"include_obfuscation":false},"stream":true}',
        ),
        (
            b'{"stream":true,"stream_options":{"include_usage": false}}',
            b'{"stream":true,"stream_options":{"include_usage": true}}',
        ),
    ],
)
def test_bytes_are_inserted(body: bytes, changed: bytes) -> None:
    """All others stay as they are."""
    assert with_usage(body) == changed


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no JSON",
        b"[]",
        b'{"stream":false}',
        b'{"stream":1}',
        b'{"stream":"true"}',
        b'{"stream":true,"stream_options":{"include_usage":true}}',
        b'{"stream":true,"stream_options":5}',
        b'{"stream":true,"stream_options":[]}',
        b'{"stream":false,"stream":true}',
        b'{"stream":true,"stream_options":{},"stream_options":{}}',
        b'{"stream":true,"x":{"stream_options":{}}}',
        b'{"stream":true,"stream_\\u006fptions":{},"x":{"stream_options":{}}}',
        b'{"stream":true,"stream_options":{"x":{"include_usage":false}}}',
        b'\xef\xbb\xbf{"stream":true}',
    ],
)
def test_what_is_unclear_stays(body: bytes) -> None:
    """A request that asks already, does not stream, or can be read in two ways."""
    assert with_usage(body) is None


def test_a_request_that_is_known_to_ask_for_a_stream_is_not_parsed() -> None:
    """A long one would hold the loop."""
    body = b' {"stream":true,"x":"' + b"[1]," * 600_000 + b'"}'
    assert with_usage(body) is None
    found = with_usage(body, unasked=True)
    assert found == b' {"stream_options":{"include_usage":true},' + body[2:]


def test_half_a_surrogate_pair_does_not_keep_a_request_from_being_asked() -> None:
    """It is JSON."""
    body = b'{"stream":true,"stream_options":null,"user":"\\ud800"}'
    assert with_usage(body) == body.replace(b"null", b'{"include_usage":true}')


@pytest.mark.parametrize(
    ("path", "name", "may"),
    [
        (b"/v1/chat/completions", b"x", True),
        (b"/openai/deployments/d/chat/completions?api-version=1", b"x", True),
        (b"/v1/completions", b"x", True),
        (b"/v1/responses", b"x", False),
        (b"/v1/completions/more", b"x", False),
        (b"/v1/completions", b"content-encoding", False),
        (b"/v1/completions", b"content-digest", False),
        (b"/v1/completions", b"signature", False),
    ],
)
def test_the_head_decides_whether_a_body_may_change(path: bytes, name: bytes, may: bool) -> None:  # noqa: FBT001
    """It may not where something else vouches for its bytes."""
    assert may_be_asked(path, ((name, b"v"),)) is may


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@given(
    rest=st.dictionaries(st.text(max_size=4) | st.just("x"), _VALUES, max_size=4),
    options=st.none()
    | st.dictionaries(st.sampled_from(["include_usage", "include_obfuscation", "x"]), _VALUES),
    indent=st.booleans(),
)
def test_a_changed_request_differs_in_the_option_alone(
    rest: dict[str, object],
    options: dict[str, object] | None,
    indent: bool,  # noqa: FBT001
) -> None:
    """And in nothing that the product reads besides."""
    document = rest | {"stream": True, "stream_options": options}
    changed = with_usage(orjson.dumps(document, option=orjson.OPT_INDENT_2 if indent else 0))
    if changed is not None:
        assert orjson.loads(changed) == document | {
            "stream_options": (options or {}) | {"include_usage": True}
        }
