"""How many examples of a property are tried: a quarter in `make test`, all in `make properties`."""

from __future__ import annotations

import os
from typing import Final

ALL: Final = os.environ.get("BB_EXAMPLES") == "all"
EXPLORE: Final = os.environ.get("BB_EXPLORE") == "yes"
"""Whether each run tries examples of its own."""


def examples(count: int) -> int:
    """Return how many of `count` to try."""
    return count if ALL else count // 4
