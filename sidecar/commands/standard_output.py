"""Standard output whose failure is one line on stderr: a full disk is the user's to fix."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, cast

from typing_extensions import override

from sidecar.domain.errors import UserError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _Output(io.FileIO):
    """Writes until a write fails; drops the rest, which Python would try again at its exit."""

    failed = False

    @override
    def write(self, data: ReadableBuffer, /) -> int:
        if self.failed:
            return memoryview(data).nbytes
        try:
            return super().write(data)
        except BrokenPipeError:  # the reader has seen enough
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
