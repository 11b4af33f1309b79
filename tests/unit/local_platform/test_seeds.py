"""Seed files: what they may say, and how they are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain.errors import UserError
from sidecar.domain.model import Resource
from sidecar.local_platform import LocalPlatform, Seed, SeedProduct, default_seed, load_seed
from sidecar.local_platform.seeds import check_seed, parse_seed

GOOD = """\
products:
  - {slug: acme-notes, key: bbas_dev_acme_notes}
orgs:
  - id: org_acme
    plan: pro
    apps: [acme-notes]
    quotas: {ai_calls: 25, api_calls: -1}     # -1: unlimited
    keys: [{key: bbk_dev_acme, scopes: [read, write], product: acme-notes}]
"""


def test_the_seed_of_the_interface_is_read(tmp_path: Path) -> None:
    """The example of the interface document, word for word."""
    file = tmp_path / "seed.yaml"
    file.write_text(GOOD)

    seed = load_seed(file)

    assert seed.orgs[0].quotas == {Resource.AI_CALLS: 25, Resource.API_CALLS: -1}
    assert seed.orgs[0].keys[0].product == "acme-notes"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("plan: pro", "plann: pro", "s.yaml:5:5: orgs.0.plann: Extra inputs are not permitted"),
        ("ai_calls: 25", "ai_calls: yes", ": orgs.0.quotas.ai_calls: Input should be"),
        ("ai_calls: 25", "ai_calls: 1.5", ": orgs.0.quotas.ai_calls: Input should be"),
        ("ai_calls: 25", "ai_calls: -2", ": orgs.0.quotas.ai_calls: Input should be"),
        ("ai_calls: 25", "tokens: 25", "s.yaml:7:14: orgs.0.quotas.tokens: Input should be"),
        ("[acme-notes]", "[acme-note]", "no product 'acme-note'; the products are acme-notes"),
        ("product: acme-notes}", "product: other}", "s.yaml:8:64: orgs.0.keys.0.product: 'other'"),
        ("bbas_dev", "dev", "s.yaml:2:29: products.0.key: must be `bbas_` and 1 to 250"),
        ("plan: pro", "id: org_b", "s.yaml:5:5: duplicate key `id`: it is on line 4 already"),
        ("plan: pro", "plan: {", "s.yaml:"),
    ],
)
def test_a_mistake_is_named_with_its_line(old: str, new: str, said: str) -> None:
    """A line that says where and what."""
    with pytest.raises(UserError) as refused:
        parse_seed(GOOD.replace(old, new).encode(), "s.yaml")

    assert said in str(refused.value).splitlines()[0]


def test_every_mistake_is_named_at_once() -> None:
    """A line each."""
    text = GOOD.replace("plan: pro", "plan: 5").replace("ai_calls: 25", "ai_calls: x")

    with pytest.raises(UserError, match=r"s\.yaml:5:11: .*\ns\.yaml:7:24: "):
        parse_seed(text.encode(), "s.yaml")


def test_a_key_given_twice_is_not_printed() -> None:
    """A secret is named by its place."""
    seed = Seed(
        products=[SeedProduct(slug="a", key="bbas_same"), SeedProduct(slug="b", key="bbas_same")]
    )

    with pytest.raises(UserError, match=r"products\.1\.key: this key is given twice") as refused:
        check_seed(seed)
    assert "bbas_same" not in str(refused.value)


def test_a_missing_file_is_a_user_error(tmp_path: Path) -> None:
    """The file is named."""
    with pytest.raises(UserError, match=r"nowhere\.yaml"):
        load_seed(tmp_path / "nowhere.yaml")


def test_a_seed_made_in_code_is_checked_too() -> None:
    """A platform refuses a seed that contradicts itself before it starts."""
    seed = default_seed()
    broken = seed.model_copy(update={"products": [SeedProduct(slug="x", key="bbas_x")]})

    with pytest.raises(UserError, match="no product 'demo'"):
        LocalPlatform(seed=broken)


def test_default_keys_are_fresh() -> None:
    """No two platforms share a key by accident."""
    assert default_seed().products[0].key != default_seed().products[0].key


@given(st.text(max_size=200))
def test_arbitrary_text_is_a_user_error(text: str) -> None:
    """Nothing but UserError comes out of a file of rubbish."""
    with pytest.raises(UserError, match=r"^s\.yaml:"):
        parse_seed(text.encode(), "s.yaml")


@pytest.mark.parametrize(
    "text",
    ["&a [*a]", "&a {b: *a}", "2024-01-01: x", "? [1]\n: x", "[" * 3000, '"\\uD800"', "", "\x00"],
    ids=["own list", "own mapping", "date key", "list key", "deep", "surrogate", "empty", "nul"],
)
def test_odd_yaml_is_a_user_error(text: str) -> None:
    """What YAML can say and a seed cannot."""
    with pytest.raises(UserError, match=r"^s\.yaml:1:\d+: "):
        parse_seed(text.encode(), "s.yaml")
