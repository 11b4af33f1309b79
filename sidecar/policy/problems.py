"""What is wrong with a policy file, and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sidecar.domain.errors import UserError


class Severity(StrEnum):
    """Whether a policy can be used all the same: with a warning or a note it can."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, order=True)
class PolicyProblem:
    """One mistake: `line` and `column` count from 1, and are 0 where it is of the whole file.

    The message names the fix.
    """

    file: str
    line: int
    column: int
    message: str
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        word = "" if self.severity is Severity.ERROR else f"{self.severity}: "
        place = f":{self.line}:{self.column}" if self.line else ""
        return f"{self.file}{place}: {word}{self.message}"


class PolicyError(UserError):
    """A policy file that cannot be used; `problems` has every reason, in the file's order.

    As text it is one line: the first problem, and how to see the others.
    """

    def __init__(self, problems: Sequence[PolicyProblem]) -> None:
        self.problems = tuple(sorted(problems))
        first = self.problems[0]
        more = len(self.problems) - 1
        super().__init__(
            f"{first} (and {more} more: see `bb-sidecar check {first.file}`)"
            if more
            else f"{first}"
        )
