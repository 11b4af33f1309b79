"""The parts of the stateless answers that no request can show."""

from __future__ import annotations

import pytest

from sidecar.demo.routes import BadInput, ReadBody


def test_body_not_kept_is_too_large() -> None:
    """Asking for a body that was only hashed is a 413, with its length."""
    with pytest.raises(BadInput, match="99 bytes") as raised:
        _ = ReadBody(None, 99, "").whole
    assert raised.value.status == 413
