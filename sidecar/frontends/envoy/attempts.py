"""Whether a call reached the product, as far as Envoy shows it. Pure.

Envoy shows the answer of the product and its own in the same way; the attributes of the answer say
which it is (`response_attributes` of ext_proc's configuration).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from envoy.service.ext_proc.v3.external_processor_pb2 import ProcessingRequest
from google.protobuf.json_format import MessageToDict

from sidecar.frontends.envoy.processing_answers import NAMESPACE

_COUNT: Final = "upstream.request_attempt_count"
_DETAILS: Final = "response.code_details"
_NOT_CONNECTED: Final = re.compile(
    r"upstream_reset_before_response_started\{"
    r"(?:(?:local_|remote_)?connection_failure|connection_timeout|overflow)[}|,].*"
    r"|no_healthy_upstream"
)


def attributes_of(message: ProcessingRequest) -> Mapping[str, Any]:
    """Return what Envoy says of an answer, where it is asked for it."""
    found = message.attributes.get(NAMESPACE)
    return {} if found is None else MessageToDict(found)


def reached_none(attributes: Mapping[str, Any]) -> bool:
    """Whether provably no byte of the call reached the product.

    Of several attempts only the last is known: an earlier one may have reached it.
    """
    count = attributes.get(_COUNT)
    if count == 0:
        return True
    details = str(attributes.get(_DETAILS, ""))
    return count == 1 and _NOT_CONNECTED.fullmatch(details) is not None
