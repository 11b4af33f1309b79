"""`python -m tests.soak SECONDS`: a soak, its books as a table, and status 1 on any difference."""

from __future__ import annotations

import argparse
import random
import sys

import uvloop

from tests.soak.books import table
from tests.soak.soaking import soak, summary


def main() -> int:
    """Soak, and tell."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("seconds", type=float, help="how long traffic and trouble last")
    parser.add_argument("--number", type=int, help="repeats the choices of an earlier soak")
    args = parser.parse_args()
    number = random.randrange(1 << 32) if args.number is None else args.number
    print(f"soak {number} for {args.seconds:g} s")
    report = uvloop.run(soak(args.seconds, number))
    print(f"\nwhat callers saw\n{summary(report.seen)}\n\nwhat went wrong meanwhile")
    print(", ".join(f"{count} {name}" for name, count in sorted(report.made.items())))
    before, after = (size / (1 << 20) for size in report.memory)
    print(f"\nmemory of the sidecar: {before:.0f} MiB before, {after:.0f} MiB after")
    print(f"\nthe books, in units\n{table(report.rows)}")
    for wrong in report.wrong:
        print(f"WRONG: {wrong}")
    print("the books do not agree" if report.wrong else "the books agree, to the unit")
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
