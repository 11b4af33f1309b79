"""Fixed tokens whose verdict is known beforehand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from sidecar.domain.credentials import IdentityFailure
from sidecar.domain.model import Identity
from sidecar.identity.jws import Jws, read_jws
from sidecar.identity.keys import read_key_set
from sidecar.identity.tokens import PlatformTrust, SessionTrust, Trust
from tests.unit.identity.mint import verify

FOLDER: Final = Path(__file__).parent / "vectors"
VECTORS: Final[dict[str, Any]] = json.loads((FOLDER / "jws.json").read_text())
PUBLISHED: Final[dict[str, Any]] = json.loads((FOLDER / "wycheproof.json").read_text())


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
    read = read_key_set(json.dumps({"keys": VECTORS["keys"]}).encode(), {})
    assert read is not None
    assert _outcome(token, PlatformTrust(read.keys, VECTORS["issuer"])) == wanted


@pytest.mark.parametrize(("token", "wanted"), _cases("session"))
def test_session_vector(token: bytes, wanted: str) -> None:
    """A token for a source with a secret has the verdict that its vector names."""
    assert _outcome(token, SessionTrust(VECTORS["secret"].encode())) == wanted


@pytest.mark.parametrize("source", ["platform", "session"])
def test_published_vectors(source: str) -> None:
    """Of Wycheproof's signatures the genuine one holds, and no other: none makes an identity.

    Their payload is no claims set, so the genuine token fails too, but behind its signature.
    """
    read = read_key_set(json.dumps({"keys": PUBLISHED["keys"]}).encode(), {})
    assert read is not None
    trusts: dict[str, tuple[str, Trust]] = {
        "platform": ("RS256", PlatformTrust(read.keys, "https://auth.example")),
        "session": ("HS256", SessionTrust(bytes.fromhex(PUBLISHED["secret"]))),
    }
    algorithm, trust = trusts[source]
    held = []
    for vector in PUBLISHED[source]:
        token = vector["token"].encode()
        result = verify(token, trust, VECTORS["now"])
        assert isinstance(result, IdentityFailure), vector["id"]
        if isinstance(read_jws(token, algorithm), Jws) and result is IdentityFailure.MALFORMED:
            held.append(vector["id"])
    assert held == [vector["id"] for vector in PUBLISHED[source] if vector["genuine"]]
    assert len(held) == 1
