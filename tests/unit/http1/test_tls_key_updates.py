"""New keys in the middle of a TLS 1.3 connection: Python's ssl never asks for them, servers may."""

from __future__ import annotations

import ssl
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from tests.fakes.certificates import loopback_contexts
from tests.fakes.tls_records import Wire

_APPLICATION_DATA, _HANDSHAKE = b"\x17", b"\x16"
_UPDATE_REQUESTED = b"\x18\x00\x00\x01\x01"


def expand(secret: bytes, label: bytes, length: int) -> bytes:
    """HKDF-Expand-Label of RFC 8446, 7.1, with an empty context."""
    label = b"tls13 " + label
    info = length.to_bytes(2) + bytes([len(label)]) + label + b"\x00"
    return HKDFExpand(SHA384(), length, info).derive(secret)


class Keys:
    """The server's keys: what it sends under them, and the next ones."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._sent = 0

    def record(self, kind: bytes, data: bytes) -> bytes:
        """Encrypt one record (RFC 8446, 5.2)."""
        head = _APPLICATION_DATA + b"\x03\x03" + (len(data) + 1 + 16).to_bytes(2)
        mask = int.from_bytes(expand(self._secret, b"iv", 12))
        key = AESGCM(expand(self._secret, b"key", 32))
        nonce = (mask ^ self._sent).to_bytes(12)
        self._sent += 1
        return head + key.encrypt(nonce, data + kind, head)

    def following(self) -> Keys:
        """Return the keys after an update."""
        return Keys(expand(self._secret, b"traffic upd", 48))


def connected(folder: Path) -> tuple[Wire, Keys]:
    """Return a connection after its handshake, and the server's keys."""
    ours, theirs = loopback_contexts(folder)
    ours.num_tickets = 0  # a ticket is a record
    theirs.keylog_filename = str(folder / "keys")
    wire = Wire((ours, theirs))
    wire.shake_hands()
    shown = wire.tls.get_extra_info("ssl_object")
    assert isinstance(shown, ssl.SSLObject)
    assert shown.cipher() == ("TLS_AES_256_GCM_SHA384", "TLSv1.3", 256)
    lines = (folder / "keys").read_text().splitlines()
    (secret,) = [line.split()[2] for line in lines if line.startswith("SERVER_TRAFFIC_SECRET_0")]
    return wire, Keys(bytes.fromhex(secret))


async def test_new_keys_are_taken_and_answered(tmp_path: Path) -> None:
    """Both sides have new ones then, and read each other as before; no answer waits in between."""
    wire, keys = connected(tmp_path)
    update = keys.record(_HANDSHAKE, _UPDATE_REQUESTED)
    said = keys.following().record(_APPLICATION_DATA, b"hello")
    wire.deliver(update + said)
    assert wire.protocol.content == b"hello"
    wire.tls.write(b"and back")  # OpenSSL answers with the next write
    assert len(wire.transport.written) > len(b"and back") + 2 * 22
    assert wire.collect() == b"and back"
