"""`bb-sidecar`, which is `python -m sidecar` too."""

from __future__ import annotations

import signal


def main() -> int:
    """Run the command line; return the exit status.

    Ctrl-C during the imports ends the process by the signal's default action: an import that is
    interrupted would end in a traceback. A shell that starts it in the background has SIGINT
    ignored, which stays so.
    """
    interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if interruptible:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from sidecar import cli  # noqa: PLC0415

    if interruptible:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return cli.main()


if __name__ == "__main__":
    raise SystemExit(main())
