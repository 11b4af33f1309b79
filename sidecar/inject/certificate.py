"""The webhook's certificate: loaded, and read again when its files change."""

from __future__ import annotations

import contextlib
import hashlib
import ssl
from dataclasses import dataclass
from pathlib import Path

from sidecar.domain.errors import UserError


@dataclass(frozen=True, slots=True)
class Certificate:
    """The files of the server's certificate (with its chain) and private key, PEM."""

    cert: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """Make the server's TLS context. Raises UserError when the files cannot be used."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.load_into(context)
        return context

    def load_into(self, context: ssl.SSLContext) -> None:
        """Let new connections see the files as they are now. Raises UserError as `context`."""
        for path in (self.cert, self.key):
            if not path.is_file():
                raise UserError(f"{path}: is no file: mount the webhook's certificate there")
        try:
            context.load_cert_chain(self.cert, self.key)
        except (OSError, ssl.SSLError) as error:
            raise UserError(
                f"{self.cert}, {self.key}: are no certificate and key that fit: {error}"
            ) from error

    def digest(self) -> bytes:
        """Return a digest of both files: times lie when a mount swaps its links."""
        found = hashlib.sha256()
        for path in (self.cert, self.key):
            with contextlib.suppress(OSError):
                found.update(path.read_bytes())
        return found.digest()
