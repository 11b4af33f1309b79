"""RPCs of Envoy as the handlers of `sidecar.frontends.envoy` see them."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc.aio
from envoy.config.core.v3.base_pb2 import HeaderMap, HeaderValue
from envoy.extensions.filters.http.ext_proc.v3.processing_mode_pb2 import ProcessingMode
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse
from envoy.service.ext_proc.v3.external_processor_pb2 import ProcessingRequest, ProcessingResponse

from sidecar.frontends.envoy.processing_answers import NAMESPACE


class Rpc:
    """The context of one RPC."""

    def __init__(self, peer: str = "ipv4:127.0.0.1:4000") -> None:
        self._peer = peer
        self.gone = False

    def peer(self) -> str:
        return self._peer

    def cancelled(self) -> bool:
        return self.gone


def check_request(
    path: str = "/chat", method: str = "POST", content: bytes = b"", **fields: str
) -> CheckRequest:
    """Ask about a call; `id` is Envoy's, and the other fields are the call's (`_` for `-`)."""
    request = CheckRequest()
    http = request.attributes.request.http
    http.id = fields.pop("id", "")
    http.method, http.path, http.host, http.raw_body = method, path, "acme", content
    for name, value in {":path": path, **fields}.items():
        header = http.header_map.headers.add()
        header.key, header.raw_value = name.replace("_", "-"), value.encode()
    return request


def answered(written: bytes) -> CheckResponse:
    """Read an answer."""
    return CheckResponse.FromString(written)


def fields_of(options: Any) -> dict[str, str]:
    """Return the fields that an answer sets."""
    return {
        each.header.key: each.header.value or each.header.raw_value.decode() for each in options
    }


class ProcessingRpc(Rpc):
    """The context of an ext_proc stream: gives messages, and keeps what is answered."""

    def __init__(self, *messages: Any, peer: str = "ipv4:127.0.0.1:4000") -> None:
        super().__init__(peer)
        self._messages = list(messages)
        self.answers: list[ProcessingResponse] = []
        self.metadata: tuple[tuple[str, str], ...] = ()

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return self.metadata

    async def read(self) -> Any:
        await asyncio.sleep(0)
        return self._messages.pop(0) if self._messages else grpc.aio.EOF

    async def write(self, response: ProcessingResponse) -> None:
        self.answers.append(ProcessingResponse.FromString(response.SerializeToString()))

    async def abort(self, code: Any, text: str) -> None:
        raise AbortedError(code, text)

    @property
    def steps(self) -> list[str | None]:
        """What was answered to."""
        return [answer.WhichOneof("response") for answer in self.answers]


class AbortedError(Exception):
    """The stream was ended with an error."""


def _head(pairs: dict[str, str]) -> HeaderMap:
    return HeaderMap(
        headers=[
            HeaderValue(key=name.replace("_", "-"), raw_value=value.encode())
            for name, value in pairs.items()
        ]
    )


def request_head(
    path: str = "/chat", *, last: bool = False, body_mode: int = ProcessingMode.BUFFERED,
    **fields: str,
) -> ProcessingRequest:  # fmt: skip
    """Begin a call; `last`: it has no body."""
    message = ProcessingRequest()
    head = {":method": "POST", ":path": path, ":authority": "acme", **fields}
    message.request_headers.headers.CopyFrom(_head(head))
    message.request_headers.end_of_stream = last
    message.protocol_config.request_body_mode = body_mode
    return message


def request_body(content: bytes, *, last: bool = True) -> ProcessingRequest:
    """Show the body of a request."""
    message = ProcessingRequest()
    message.request_body.body, message.request_body.end_of_stream = content, last
    return message


def answer_head(
    status: int = 200, *, last: bool = False, attempts: int | None = None, details: str = "",
    **fields: str,
) -> ProcessingRequest:  # fmt: skip
    """Show the head of an answer."""
    message = ProcessingRequest()
    message.response_headers.headers.CopyFrom(_head({":status": str(status), **fields}))
    message.response_headers.end_of_stream = last
    if attempts is not None:
        message.attributes[NAMESPACE].update(
            {"upstream.request_attempt_count": attempts, "response.code_details": details}
        )
    return message


def answer_body(content: bytes, *, last: bool = False) -> ProcessingRequest:
    """Show a part of an answer."""
    message = ProcessingRequest()
    message.response_body.body, message.response_body.end_of_stream = content, last
    return message


def trailers(of: str) -> ProcessingRequest:
    """Show the trailers of a request or of an answer."""
    message = ProcessingRequest()
    getattr(message, f"{of}_trailers").SetInParent()
    return message
