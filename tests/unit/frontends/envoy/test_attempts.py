"""What Envoy shows of an answer that is not the product's."""

from __future__ import annotations

import pytest

from sidecar.frontends.envoy.attempts import attributes_of, reached_none
from tests.fakes.rpcs import answer_head

RESET = "upstream_reset_before_response_started"


@pytest.mark.parametrize(
    ("attempts", "details", "none"),
    [
        (1, "via_upstream", False),
        (1, f"{RESET}{{remote_connection_failure|delayed_connect_error:_Refused}}", True),
        (1, f"{RESET}{{connection_timeout}}", True),
        (1, f"{RESET}{{overflow}}", True),
        (1, "no_healthy_upstream", True),
        (1, f"{RESET}{{connection_termination}}", False),
        (1, "response_timeout", False),
        (3, f"{RESET}{{remote_connection_failure}}", False),
        (0, "direct_response", True),
        (0, "cluster_not_found", True),
        (None, "", False),
    ],
)
def test_only_what_provably_reached_no_product_did_not(
    attempts: int | None, details: str, *, none: bool
) -> None:
    """The first of several attempts may have; the words are those of Envoy 1.40."""
    found = attributes_of(answer_head(503, attempts=attempts, details=details))
    assert reached_none(found) == none
