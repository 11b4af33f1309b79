"""Why a Redis cannot be used, in words for a log line and for readiness: no credential, no URL."""

from __future__ import annotations

import os
import re
import socket
import ssl
from collections.abc import Iterator
from typing import Final

from redis import exceptions

from sidecar.domain.errors import SidecarError
from sidecar.storage.redis_client import ANSWER_SECONDS, CONNECT_SECONDS

_CODES: Final = {
    "WRONGPASS": "the user name or password is refused (WRONGPASS)",
    "NOAUTH": "it asks for a password, and the URL has none (NOAUTH)",
    "NOPERM": "the user may not run a command that settings.md names (NOPERM)",
    "READONLY": "it is a read-only replica (READONLY)",
    "LOADING": "it is loading its data (LOADING)",
    "BUSY": "it is busy with a script (BUSY)",
    "OOM": "its memory is full (OOM)",
    "MISCONF": "it cannot save, and so refuses writes (MISCONF)",
    "NOREPLICAS": "it has too few replicas for a write (NOREPLICAS)",
    "MASTERDOWN": "it is a replica that has lost its primary (MASTERDOWN)",
    "CLUSTERDOWN": "the cluster is down (CLUSTERDOWN)",
    "ASK": "a slot is moving to another node (ASK)",
    "MOVED": "it belongs to a cluster that cannot be used (MOVED)",
}
_CODE: Final = re.compile(rf"\b({'|'.join(_CODES)})\b")
_CLASSES: Final = (
    (exceptions.NoPermissionError, "NOPERM"),
    (exceptions.ReadOnlyError, "READONLY"),
    (exceptions.BusyLoadingError, "LOADING"),
    (exceptions.OutOfMemoryError, "OOM"),
    (exceptions.MasterDownError, "MASTERDOWN"),
    (exceptions.ClusterDownError, "CLUSTERDOWN"),
    (exceptions.SlotNotCoveredError, "CLUSTERDOWN"),
    (exceptions.MovedError, "MOVED"),
    (exceptions.ClusterError, "ASK"),  # redis-py is redirected to and fro until it gives up
)
_ERRNO: Final = re.compile(r"\[Errno (\d+)\]")


class LateError(SidecarError):
    """Answers come later than a call waits for them."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no answer within {seconds * 1000:g} ms")


def cause_of(error: BaseException) -> str:
    """Return the cause in a few words: that of the first error of its chain that has some."""
    return next((cause for each in _chain(error) if (cause := _cause(each))), type(error).__name__)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Give the error that came first, then those that were raised because of it."""
    below = error.__cause__ or error.__context__
    if below is not None:
        yield from _chain(below)
    yield error


def _cause(error: BaseException) -> str:
    match error:
        case LateError():
            return str(error)
        case ssl.SSLCertVerificationError():
            return f"its certificate is refused: {error.verify_message.rstrip('.')}"
        case ssl.SSLError():  # only OpenSSL's own errors have a reason
            return f"TLS fails ({getattr(error, 'reason', None) or 'no reason given'})"
        case socket.gaierror():
            return "its name does not resolve"
        case OSError():
            found = _ERRNO.search(str(error))  # of several addresses, the first
            number = error.errno or int(found[1] if found else 0)
            return os.strerror(number) if number else ""
        case UnicodeError():
            return "its address is not valid"
        case exceptions.RedisError():
            return _reply(error)
        case _:
            return ""


def _reply(error: exceptions.RedisError) -> str:
    text = str(error)
    found = _CODE.search(text)
    code = next((code for kind, code in _CLASSES if isinstance(error, kind)), found and found[1])
    if code:
        return _CODES[code]
    match error:
        case exceptions.AuthenticationError():
            return _CODES["NOAUTH" if "required" in text else "WRONGPASS"]
        case exceptions.TimeoutError() if "connecting" in text:
            return f"no connection within {CONNECT_SECONDS:g} s"
        case exceptions.TimeoutError():
            return f"no answer within {ANSWER_SECONDS:g} s"
        case exceptions.InvalidResponse():
            return "what answers there is not Redis"
        case exceptions.ConnectionError():
            return "it closed the connection"
        case exceptions.ResponseError() if "DB index" in text:
            return "it does not have the database of the URL"
        case _:
            return ""
