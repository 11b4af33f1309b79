"""Products, orgs and keys."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sidecar.local_platform import ApiKey, Member, OrgBody
from sidecar.local_platform.directory import Directory, ProductCaller, digest
from sidecar.local_platform.store import Store
from tests.fakes.clock import TurnedClock
from tests.unit.local_platform import acme


@pytest.fixture
def directory(clock: TurnedClock) -> Iterator[Directory]:
    """A directory with the acme seed."""
    store = Store(None)
    made = Directory(store, clock)
    with store.transaction():
        made.apply(acme.seed())
    yield made
    store.close()


def test_a_key_belongs_to_its_product(directory: Directory) -> None:
    """Known by the whole secret, and by no other."""
    assert directory.product_of_key(acme.NOTES_KEY) == ProductCaller("acme-notes")
    assert directory.product_of_key(acme.NOTES_KEY[:-1]) is None


def test_a_key_of_an_org_has_its_scopes_and_its_product(directory: Directory) -> None:
    """As the seed gave them."""
    reader = directory.org_of_key(acme.READ_KEY)
    bound = directory.org_of_key(acme.BOUND_KEY)

    assert reader is not None
    assert (reader.can_read, reader.can_write, reader.product) == (True, False, None)
    assert bound is not None
    assert bound.product == "acme-notes"
    assert acme.BOUND_KEY not in repr(bound)


def test_new_keys_replace_the_old_ones(directory: Directory) -> None:
    """A key that is no longer listed no longer opens."""
    directory.set_org(acme.ORG, OrgBody(keys=[ApiKey(key="bbk_new")]))

    assert directory.org_of_key(acme.API_KEY) is None
    assert directory.org_of_key("bbk_new") is not None


def test_a_member_without_an_address_gets_one_that_leads_nowhere(directory: Directory) -> None:
    """Mail sent by mistake reaches nobody."""
    directory.set_org(acme.ORG, OrgBody(members=[Member(user_id="bob")]))

    (bob,) = directory.members(acme.ORG)
    assert (bob.email, bob.full_name, bob.role) == ("bob@example.invalid", "bob", "member")


def test_orgs_and_products_are_listed(directory: Directory) -> None:
    """In the order of their names."""
    assert [org.id for org in directory.orgs()] == [acme.ORG, "org_bare"]
    assert directory.products() == {"acme-notes": "Acme Notes", "other": "other"}
    assert directory.org("org_nobody") is None


def test_a_digest_is_one_way_and_stable() -> None:
    """The same for the same key, and nothing of the key in it."""
    assert digest("bbk_secret") == digest("bbk_secret")
    assert b"secret" not in digest("bbk_secret")
    assert digest("bbk_a") != digest("bbk_b")


def test_any_header_has_a_digest() -> None:
    """Bytes that are no UTF-8 arrive as surrogates."""
    assert digest(b"bbk_\xff".decode("utf-8", "surrogateescape"))
