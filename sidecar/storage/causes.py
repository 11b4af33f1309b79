"""Why a Redis cannot be used, in words for a log line and for readiness: no credential, no URL."""

from __future__ import annotations

import os
import socket
import ssl
from typing import Final

from sidecar.errors import SidecarError
from sidecar.storage.resp import NotRedisError, ReplyError

CAUSES: Final = {
    "WRONGPASS": "the user name or password is refused (WRONGPASS)",
    "NOAUTH": "it asks for a password, and the URL has none (NOAUTH)",
    "NOPERM": "the user may not run MULTI, INCR and EXPIRE on bb-sidecar:attempts:* (NOPERM)",
    "READONLY": "it is a read-only replica (READONLY)",
    "LOADING": "it is loading its data (LOADING)",
    "BUSY": "it is busy with a script (BUSY)",
    "OOM": "its memory is full (OOM)",
    "MISCONF": "it cannot save, and so refuses writes (MISCONF)",
    "NOREPLICAS": "it has too few replicas for a write (NOREPLICAS)",
    "MASTERDOWN": "it is a replica that has lost its primary (MASTERDOWN)",
    "CLUSTERDOWN": "the cluster is down (CLUSTERDOWN)",
    "MOVED": "a cluster, whose slots it does not show (MOVED)",
}


class LinkError(SidecarError):
    """A connection cannot be used; the text is the cause."""


CONNECTION_FAULTS: Final = (OSError, EOFError, LinkError, NotRedisError, ReplyError)
"""What ends a connection, or prevents one."""


def cause_of(error: Exception) -> str:
    """Return the cause in a few words."""
    match error:
        case LinkError():
            return str(error)
        case ReplyError():
            return CAUSES.get(error.code, f"it answers with an error ({error.code})")
        case NotRedisError():
            return "what answers there is not Redis"
        case ssl.SSLCertVerificationError():
            return f"its certificate is refused: {error.verify_message.rstrip('.')}"
        case ssl.SSLError():
            reason = getattr(error, "reason", None)  # only OpenSSL's own errors have one
            return f"TLS fails ({reason or 'no reason given'})"
        case socket.gaierror():
            return "its name does not resolve"
        case OSError(errno=int(number)):
            return os.strerror(number)
        case EOFError() | ConnectionError():
            return "it closed the connection"
        case TimeoutError():
            return "no answer in time"
        case _:
            return type(error).__name__
