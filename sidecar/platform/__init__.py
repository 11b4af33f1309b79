"""The BizBasics platform: a typed client for all of its API, and the sidecar's own consume call.

Products import the client from here to publish records or to meter work that is not HTTP; nothing
of the data plane comes with it. Nor does the client come with the consume call: the names are
imported when the first of them is asked for, and a sidecar without side jobs starts without them.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sidecar.platform.names import *  # noqa: F403


def __getattr__(name: str) -> object:
    """Look for a name where all are (PEP 562)."""
    names = importlib.import_module("sidecar.platform.names")
    if name in getattr(names, "__all__", ()):  # while they are imported, there is none yet
        return getattr(names, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
