"""Secrets and their digests."""

from sidecar.local_platform.credentials import digest, new_key


def test_keys_are_of_their_kind_and_fresh() -> None:
    """The prefix tells what a key is for; no two are alike."""
    assert new_key("bbas").startswith("bbas_")
    assert new_key("bbk") != new_key("bbk")


def test_a_digest_is_one_way_and_stable() -> None:
    """The same for the same key, and nothing of the key in it."""
    assert digest("bbk_secret") == digest("bbk_secret")
    assert b"secret" not in digest("bbk_secret")
    assert digest("bbk_a") != digest("bbk_b")


def test_any_header_has_a_digest() -> None:
    """Bytes that are no UTF-8 arrive as surrogates."""
    assert digest(b"bbk_\xff".decode("utf-8", "surrogateescape"))
