"""One target under libFuzzer, until its time is up or it is broken: `child TARGET [option...]`."""

from __future__ import annotations

import sys

import atheris


def main() -> None:
    """Instrument the sidecar, load the target, hand over to libFuzzer, which ends the process."""
    from tests.fuzz import targets  # noqa: PLC0415 - so that the parts it loads are instrumented

    name = sys.argv[1]
    with atheris.instrument_imports(include=["sidecar"]):
        target = targets.load(name)
    atheris.Setup([name, *sys.argv[2:]], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
