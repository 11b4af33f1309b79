"""Annotations as people write them."""

from __future__ import annotations

import pytest

from sidecar.inject.asking import CannotInject, name_of, port_of


@pytest.mark.parametrize("text", ["", "0", "65536", "-1", "+80", "8_0", " 80", "٣٠٠٠", "9" * 5000])
def test_what_is_no_port_is_refused(text: str) -> None:
    """Also a number that Python itself refuses to read; the message stays short."""
    with pytest.raises(CannotInject, match=r"the/port: .{2,60}must be a port") as told:
        port_of(text, "the/port")
    assert len(str(told.value)) < 120


@pytest.mark.parametrize(("text", "port"), [("1", 1), ("0080", 80), ("65535", 65535)])
def test_a_port_is_read(text: str, port: int) -> None:
    """From the first to the last one."""
    assert port_of(text, "the/port") == port


@pytest.mark.parametrize(
    "name", ["-a", "a-", "A", "a_b", "a b", "a/b", "a\n", "<secret>", "a" * 254]
)
def test_what_cannot_be_a_name_is_refused(name: str) -> None:
    """No ConfigMap and no Secret can be called so."""
    with pytest.raises(CannotInject, match="must be a name"):
        name_of({"the/name": name}, "the/name")


@pytest.mark.parametrize("name", [None, "", "a", "acme-notes", "a.b-1"])
def test_a_name_is_read(name: str | None) -> None:
    """Or nothing, where there is none."""
    assert name_of({} if name is None else {"the/name": name}, "the/name") == name
