"""Whole numbers in a query string, and how long a list may be asked to be."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

from sidecar.local_platform.choices import LIST_LIMIT, LIST_LIMIT_MAX
from sidecar.local_platform.wire import Query


def _whole_number(value: object) -> object:
    # Left alone, pydantic would also read "5.0", " 5" and "1_0" as whole numbers.
    if isinstance(value, str) and not re.fullmatch(r"-?[0-9]{1,18}", value):
        raise ValueError("must be a whole number")
    return value


# The bounds come before the reading of the text, else they are missing in the JSON Schema.
PageSize = Annotated[int, Field(ge=1, le=LIST_LIMIT_MAX), BeforeValidator(_whole_number)]
Offset = Annotated[int, Field(ge=0, le=10**9), BeforeValidator(_whole_number)]


class RecentQuery(Query):
    """`GET /v1/dev/…`."""

    limit: PageSize = LIST_LIMIT
