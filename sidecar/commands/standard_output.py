"""Standard output whose failure is one line on stderr: a full disk is the user's to fix."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO, cast

from typing_extensions import Buffer, override

from sidecar.domain.errors import UserError


class _Output(io.FileIO):
    """Writes until a write fails, and drops the rest: Python would try it again at its exit."""

    failed = False

    @override
    def write(self, data: Buffer, /) -> int:
        if self.failed:
            return memoryview(data).nbytes
        try:
            return super().write(data)
        except BrokenPipeError:  # the reader has closed it
            self.failed = True
            raise
        except OSError as error:
            self.failed = True
            fix = "write it to another place, or free some space there"
            raise UserError(f"stdout: {error.strerror or error}: {fix}") from error


@contextlib.contextmanager
def guarded_output() -> Iterator[None]:
    """Escape what the terminal's encoding lacks; flush at the end of the block.

    Output that cannot be written is a UserError in the block or at its end, or a BrokenPipeError.
    """
    before = cast("TextIO | None", sys.stdout)
    with contextlib.ExitStack() as stack:
        if before is None:  # it was closed before Python started
            output: TextIO = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
        else:
            output = _guard(before) if isinstance(before, io.TextIOWrapper) else before
        stack.callback(setattr, sys, "stdout", before)
        stack.callback(output.flush)
        sys.stdout = output
        yield


def _guard(stream: io.TextIOWrapper) -> TextIO:
    """Return what writes to the descriptor of a stream; the stream itself where it has none."""
    try:
        number = stream.fileno()
    except io.UnsupportedOperation:
        stream.reconfigure(errors="backslashreplace")
        return stream
    return io.TextIOWrapper(
        io.BufferedWriter(_Output(number, "w", closefd=False)),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering or stream.write_through,
    )
