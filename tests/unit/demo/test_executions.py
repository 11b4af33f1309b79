"""The log of executions by itself."""

from __future__ import annotations

from tests.fakes.executions import ExecutionLog, Progress


def test_executions_stay_in_the_order_they_began() -> None:
    """The one that ends first does not come first."""
    log = ExecutionLog()
    first, second = log.begin("GET", "/a", []), log.begin("GET", "/b", [])
    log.end(second, Progress.COMPLETED)
    log.end(first, Progress.ABORTED)
    assert [(one.path, one.progress) for one in log.all()] == [
        ("/a", Progress.ABORTED),
        ("/b", Progress.COMPLETED),
    ]


def test_header_that_came_twice_is_joined() -> None:
    """A forged second field cannot hide behind the first one."""
    log = ExecutionLog()
    log.begin("GET", "/", [(b"X-BB-Org-Id", b"org_a"), (b"x-bb-org-id", b"org_b")])
    assert log.all()[0].org_id == "org_a, org_b"


def test_absent_header_is_empty() -> None:
    """No field, no value."""
    log = ExecutionLog()
    log.begin("GET", "/", [])
    assert log.all()[0].request_id == ""


def test_forgotten_execution_is_left_alone() -> None:
    """News of an execution that was forgotten is no new execution."""
    log = ExecutionLog()
    serial = log.begin("GET", "/", [])
    log.forget()
    log.body_read(serial, 1, "00")
    log.end(serial, Progress.COMPLETED)
    assert log.all() == []
