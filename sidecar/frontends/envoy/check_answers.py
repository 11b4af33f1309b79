"""What ext_authz answers Envoy: the call goes on with our fields, or is refused. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from envoy.service.auth.v3.external_auth_pb2 import CheckResponse
from google.protobuf.struct_pb2 import Struct

from sidecar.answers.writer import OwnAnswer
from sidecar.domain.model import Decision, Headers
from sidecar.frontends.door import Visit
from sidecar.frontends.envoy.head_fields import forged_names, overwriting
from sidecar.frontends.fields import identity_fields

_UNAUTHORIZED: Final = 401
_PERMISSION_DENIED: Final = 7
_UNAUTHENTICATED: Final = 16
"""Codes of google.rpc.Status."""


def allowing(visit: Visit, came: Headers) -> CheckResponse:
    """Let a call go on, with the fields for the product and for the client.

    `came` are the call's fields: what a client made up in our names is taken out.
    """
    response = CheckResponse()
    ok = response.ok_response
    who = identity_fields(visit.decision.identity)
    marks, _ = visit.marks()
    request_id = [field for field in marks if field[0] == b"x-request-id"]
    ok.headers.extend(_options([*who, *request_id]))
    ok.headers_to_remove.extend(forged_names(came, but=[name for name, _ in who]))
    ok.response_headers_to_add.extend(_options(marks))
    response.dynamic_metadata.CopyFrom(metadata_of(visit.decision))
    return response


def refusing(answer: OwnAnswer, decision: Decision) -> CheckResponse:
    """Refuse a call with our answer."""
    response = CheckResponse()
    unknown = answer.status == _UNAUTHORIZED
    response.status.code = _UNAUTHENTICATED if unknown else _PERMISSION_DENIED
    denied = response.denied_response
    denied.status.code = answer.status
    denied.headers.extend(_options(answer.headers))
    denied.body = answer.body.decode()
    response.dynamic_metadata.CopyFrom(metadata_of(decision))
    return response


def metadata_of(decision: Decision) -> Struct:
    """Say for Envoy's log and filters whose the call is, what was decided, and what it cost."""
    identity, permit = decision.identity, decision.permit
    found = Struct()
    found.update(
        {
            "org": "" if identity is None else identity.org_id,
            "plan": "" if identity is None else identity.plan,
            "reason": decision.reason.value,
            "route": decision.route,
            "units": 0 if permit is None or permit.charge is None else permit.charge.amount,
        }
    )
    return found


def _options(fields: Iterable[tuple[bytes, bytes]]) -> list[Any]:
    return [overwriting(name, value, raw=False) for name, value in fields]
