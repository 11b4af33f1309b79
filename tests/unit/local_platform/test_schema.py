"""The tables and the version that stands for them."""

import hashlib

from sidecar.local_platform import schema


def test_the_version_stands_for_these_tables() -> None:
    """Changed tables need a new version: then write the new digest here.

    An old database would else be opened and fail at the first query.
    """
    digest = hashlib.sha256(schema.TABLES.encode()).hexdigest()[:16]

    assert (schema.VERSION, digest) == (2, "b7913c22a8b3da83")
