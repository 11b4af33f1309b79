"""The places that pointers lead to or through."""

from __future__ import annotations

from sidecar.policy.json_places import Container, Findings, PointerPlace
from sidecar.policy.json_pointer import Missing, Unreadable


def test_places_are_a_tree() -> None:
    """Each knows the pointers that end at it, and those that go on."""
    root = PointerPlace([(0, ("a", "n")), (1, ("a",)), (2, ("a", "3", "b")), (3, ("x",))])
    assert (root.all, root.ends) == ((0, 1, 2, 3), ())
    a = root.keys["a"]
    assert (a.all, a.ends) == ((0, 1, 2), (1,))
    assert (sorted(a.keys), sorted(a.indexes), a.last_index) == (["3", "n"], [3], 3)
    assert root.keys["x"].last_index == -1
    assert len(list(root.depth_first())) == 6


def test_keys_of_one_folding_are_found_together() -> None:
    """So that a key can be compared with every token in one look."""
    root = PointerPlace([(0, ("n",)), (1, ("N",)), (2, ("Straße",))])
    assert root.folded == {"n": ["n", "N"], "strasse": ["Straße"]}


def test_the_longest_way_to_write_a_key_is_known() -> None:
    """A longer key, as written, is not compared: the key may be folded, and all in escapes."""
    root = PointerPlace([(0, ("ß",)), (1, ("n",))])
    written = '"' + "\\ud83d\\ude00" * 2 + '"'
    assert root.longest_key == len(written)


def test_indexes_are_those_of_rfc_6901() -> None:
    """No sign, no zeros in front, no dash."""
    root = PointerPlace(
        [(number, (token,)) for number, token in enumerate(("0", "-1", "01", "-", "10"))]
    )
    assert sorted(root.indexes) == [0, 10]


def test_a_member_leads_to_its_place() -> None:
    """Of other keys, none does; the key is decoded first."""
    root = PointerPlace([(0, ("n",))])
    container, findings = Container(root), Findings(1)
    assert container.member(b'"x"', findings) is None
    assert container.member(b'"\\u006e"', findings) is root.keys["n"]
    assert findings.results == [Missing()]


def test_a_key_that_is_there_twice_spoils_what_is_below_it() -> None:
    """Also in another case; nothing takes its place any more."""
    root = PointerPlace([(0, ("n", "a")), (1, ("m",)), (2, ("k",))])
    container, findings = Container(root), Findings(3)
    for key in (b'"n"', b'"n"', b'"M"', b'"k"'):
        container.member(key, findings)
    for place in (root.keys["n"].keys["a"], root.keys["m"], root.keys["k"]):
        findings.found(place, 1)
    assert [type(found) for found in findings.results] == [Unreadable, Unreadable, int]
