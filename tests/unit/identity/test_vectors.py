"""Fixed tokens whose verdict is known beforehand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from sidecar.identity.keys import read_key_set
from sidecar.identity.tokens import PlatformTrust, SessionTrust, Trust, verify
from sidecar.model import Identity

VECTORS: Final[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "vectors" / "jws.json").read_text()
)


def _cases(group: str) -> list[Any]:
    return [
        pytest.param(entry["token"].encode(), entry["wanted"], id=entry["tries"])
        for entry in VECTORS[group]
    ]


def _outcome(token: bytes, trust: Trust) -> str:
    result = verify(token, trust, VECTORS["now"])
    return result.org_id if isinstance(result, Identity) else result


@pytest.mark.parametrize(("token", "wanted"), _cases("platform"))
def test_platform_vector(token: bytes, wanted: str) -> None:
    """A token for a source of the platform's has the verdict that its vector names."""
    keys = read_key_set(json.dumps({"keys": VECTORS["keys"]}).encode(), {})
    assert keys is not None
    assert _outcome(token, PlatformTrust(keys, VECTORS["issuer"])) == wanted


@pytest.mark.parametrize(("token", "wanted"), _cases("session"))
def test_session_vector(token: bytes, wanted: str) -> None:
    """A token for a source with a secret has the verdict that its vector names."""
    assert _outcome(token, SessionTrust(VECTORS["secret"].encode())) == wanted
