"""Bodies in the content codings that HTTP has."""

from __future__ import annotations

import gzip
import sys
import zlib

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def compressed(body: bytes, coding: str) -> bytes:
    """Encode a body; "identity" and "" are none."""
    match coding:
        case "gzip":
            return gzip.compress(body, mtime=0)
        case "deflate":
            return zlib.compress(body)
        case "zstd":
            return zstd.compress(body)
        case _:
            return body
