"""`python -m sidecar` is `bb-sidecar`."""

from sidecar.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
