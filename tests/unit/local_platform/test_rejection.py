"""How a route says no."""

from http import HTTPStatus

from sidecar.local_platform.rejection import Rejection, bad_field


def test_a_rejection_reads_as_status_and_detail() -> None:
    """For whoever meets it in a traceback."""
    assert str(Rejection(HTTPStatus.NOT_FOUND, "no org 'x'")) == "404: no org 'x'"


def test_a_bad_field_has_the_form_of_the_validators_own() -> None:
    """One shape of 422, whoever found the mistake."""
    rejection = bad_field("body", "apps", "no product 'x'")

    assert rejection.status == 422
    assert rejection.detail == [
        {"loc": ["body", "apps"], "msg": "no product 'x'", "type": "value_error"}
    ]
