"""The certificate of the gRPC port, read again when its files change."""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from sidecar.domain.errors import UserError

log = logging.getLogger("sidecar.frontends")


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files. With `client_ca`, clients must have a certificate of one of these authorities."""

    cert: Path
    key: Path
    client_ca: Path | None

    @property
    def all(self) -> tuple[Path, ...]:
        """Each file that there is."""
        return tuple(each for each in (self.cert, self.key, self.client_ca) if each is not None)


class ServerCertificate:
    """The server's credentials. gRPC asks for them at each handshake, in a thread of its own."""

    def __init__(self, files: TlsFiles) -> None:
        """Read the files. Raises UserError where they are no certificate with its key."""
        self._files = files
        self._seen = self._state()
        try:
            self._first = self._read()
        except (OSError, ValueError) as error:
            raise UserError(f"--grpc-cert, --grpc-key, --grpc-client-ca: {error}") from error

    @property
    def credentials(self) -> Any:  # noqa: ANN401 - grpcio has no types
        """What the port is opened with."""
        required = self._files.client_ca is not None
        return grpc.dynamic_ssl_server_credentials(
            self._first, self.changed, require_client_authentication=required
        )

    def changed(self) -> Any:  # noqa: ANN401 - grpcio has no types
        """Return the new credentials where the files have changed; None: those in force stay."""
        state = self._state()
        if state == self._seen:
            return None
        self._seen = state
        try:
            read = self._read()
        except (OSError, ValueError) as error:
            log.warning("grpc_certificate_rejected", extra={"fault": str(error)})
            return None
        log.info("grpc_certificate_loaded")
        return read

    def _state(self) -> list[tuple[int, int] | None]:
        """Return what changes when a file is written or replaced."""
        found: list[tuple[int, int] | None] = []
        for path in self._files.all:
            try:
                status = path.stat()
            except OSError:
                found.append(None)
            else:
                found.append((status.st_ino, status.st_mtime_ns))
        return found

    def _read(self) -> Any:  # noqa: ANN401 - grpcio has no types
        """Read all files. Raises OSError or ValueError, each naming the file."""
        files = self._files
        key, cert = _content(files.key), _content(files.cert)
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files.cert, files.key)
        except OSError as error:
            reason = (
                f"are no certificate with its key ({error}): give PEM files that belong together"
            )
            raise ValueError(f"{files.cert}, {files.key}: {reason}") from error
        if files.client_ca is None:
            return grpc.ssl_server_certificate_configuration([(key, cert)])
        authorities = _content(files.client_ca)
        try:
            ssl.create_default_context(cadata=authorities.decode("ascii"))
        except (OSError, ValueError) as error:
            reason = f"holds no certificate ({error}): give a PEM file of authorities"
            raise ValueError(f"{files.client_ca}: {reason}") from error
        return grpc.ssl_server_certificate_configuration([(key, cert)], authorities)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from error
