"""How the proxy settles a call by its answer: a settled answer with its own heads and bodies."""

from __future__ import annotations

from typing import Final

from sidecar.domain.model import AttemptEnd
from sidecar.domain.usage import Terms, Usage
from sidecar.http1.framing import ChunkedBody, known_chunks
from sidecar.http1.heads import RequestHead
from sidecar.http1.response_heads import ResponseHead
from sidecar.proxy.inbound import InboundBody
from sidecar.proxy.metered_tunnel import MeteredTunnel, SwitchedRelay
from sidecar.usage.alike import LONGEST, AlikeEvents
from sidecar.usage.reader import AnswerReader
from sidecar.usage.settled_answer import SettledAnswer

_TRIES: Final = 16
"""Events of a stream that others may turn out to be like."""

_KEPT: Final = 16
"""Events like an earlier one that are looked at together."""

_SIZE_LINES: Final = tuple(b"%x\r\n" % size for size in range(LONGEST))
"""Of the chunks of such events: to compare one takes half the instructions of looking it up."""


class Settling(SettledAnswer):
    """Reads the usage of one call's answer, relayed by the proxy.

    Chunks pass as they came. Events that differ from an earlier one in their text alone are kept,
    and looked at together: that is most of a stream.
    """

    __slots__ = ("_alike", "_before", "_content", "_end", "_longest", "_parts", "_ready", "_start",
                 "_text", "_tries")  # fmt: skip

    def __init__(self, terms: Terms) -> None:
        """Settle a call by `terms`."""
        super().__init__(terms)
        self._content: ChunkedBody | None = None  # takes the chunks off that pass as they came
        self._alike: AlikeEvents | None = None
        self._before = self._end = b""  # of `_alike`
        self._start = 0
        self._text = 0  # where its text begins: the end is behind it
        self._longest = 0  # bytes in which there is no room for two of them
        self._parts: list[bytes] = []  # events that are likely alike
        self._ready = False  # all that has passed is whole events, and whole chunks
        self._tries = _TRIES

    def request_head(self, head: RequestHead, body: InboundBody | None) -> RequestHead:
        """Return the head for the product: it asks for a plain answer, and maybe for its usage.

        In shadow not one byte changes.
        """
        if self._terms.shadow:
            return head
        length = head.length
        if body is not None and self.reads_request:
            held = body.whole
            asking = None if held is None else self.asking_body(head.target, head.fields, held)
            if asking is not None:
                body.replace(asking)
                length = len(asking)
        return RequestHead(
            head.method, head.target, head.path, head.query, head.minor,
            self.request_fields(head.fields), head.host, length, head.keep_alive, head.connection,
            head.expects_continue, head.upgrade, head.request_id, head.last_hop, head.odd_names,
        )  # fmt: skip

    def begin(self, head: ResponseHead, *, chunked: bool = False) -> None:
        """Choose how to read the answer by its head; `chunked`: it comes and passes in chunks."""
        self.began(head.status, head.fields)
        if chunked:
            self._content = ChunkedBody(decode=True)

    def switch(
        self,
        head: ResponseHead,  # noqa: ARG002 - the shape of a settling
        relay: SwitchedRelay,  # noqa: ARG002
    ) -> MeteredTunnel | None:
        """Return what meters the messages of a tunnel; None where they pass as they come.

        Raises UnknownExtensionError where they must be metered and cannot be.
        """
        return None

    def feed(self, data: bytes) -> bytes:
        """Take a part of the answer; return what goes to the client."""
        if (
            self._ready
            and data.startswith(self._before, self._start)
            and data.endswith(self._end, self._text)
        ):
            size = len(data)
            if size <= self._longest and (
                self._content is None or data.startswith(_SIZE_LINES[size - self._start - 2])
            ):
                parts = self._parts
                parts.append(data)
                if len(parts) >= _KEPT:
                    self._skip()
                return data
            if self._keep_burst(data):
                return data
        if self._reader is None:
            return data
        return self._look(self._reader, data)

    def end(self, data: bytes) -> bytes:
        """Take the last part of a whole answer; return what goes to the client."""
        self._whole = True
        if self._reader is None:
            return data
        if self._content is None and self._filter is None and not self._ready:
            self._reader.feed(data)
            return data
        passed = self.feed(data) if data else data
        held = b"" if self._filter is None else self._filter.end()
        return passed + self._framed(held)

    def ended(self, end: AttemptEnd) -> tuple[AttemptEnd, Usage | None] | None:
        """Say what a call has come to whose attempt has ended so; None: it is settled already.

        To be asked once.
        """
        self._skip()
        return self.result(end)

    def _keep_burst(self, data: bytes) -> bool:
        """Keep the events that `data` brings, if all are likely alike; say whether."""
        if self._content is None:
            return False
        events = known_chunks(data)
        for event in events:
            if not (
                event.startswith(self._before, self._start)
                and event.endswith(self._end, self._text)
                and len(event) <= LONGEST
            ):
                return False
        self._parts += events
        self._skip()
        return bool(events)

    def _skip(self) -> None:
        """Count the text of events that are likely like an earlier one; read those that are not."""
        reader, alike, parts = self._reader, self._alike, self._parts
        if reader is None or alike is None or not parts:
            return
        self._parts = []
        text = alike.text_in(parts)
        if text >= 0:
            reader.skipped += text
            return
        for part in parts:
            text = alike.text_in((part,))
            if text >= 0:
                reader.skipped += text
            else:
                reader.feed(part if self._content is None else self._content.feed(part)[0])

    def _look(self, reader: AnswerReader, data: bytes) -> bytes:
        """Read a part of the answer, and take out what its client did not ask for."""
        self._skip()
        content, whole = data, True
        framing = self._content
        if framing is not None:
            whole = framing.between_chunks
            content, _ = framing.feed(data)
            whole = whole and framing.between_chunks
        reader.feed(content)
        passed = content if self._filter is None else self._filter.feed(content)
        unchanged = passed == content
        whole_events = whole and unchanged and content.endswith(b"\n\n")
        if whole_events and self._tries:
            self._learn(reader, data, content)
        self._ready = whole_events and self._alike is not None
        if unchanged and (whole or self._filter is None):
            return data
        return self._framed(passed)

    def _learn(self, reader: AnswerReader, data: bytes, content: bytes) -> None:
        """Learn from the last event how to know others like it, where it has its own chunk."""
        start, event, closing = 0, content, b""
        if self._content is not None:
            event = content[:-2].rpartition(b"\n\n")[2] + b"\n\n"
            size = data[: -len(event) - 4].rpartition(b"\r\n")[2]
            if size.lower() != b"%x" % len(event):
                return
            start, closing = len(size) + 2, b"\r\n"
        self._tries -= 1
        found = reader.alike(event, start, closing)
        if found is not None:
            self._alike = found
            self._before, self._start, self._end = found.before, found.start, found.end
            self._text = start + len(found.before)
            self._longest = min(LONGEST, 2 * (self._text + len(found.end)) - 1)

    def _framed(self, content: bytes) -> bytes:
        """Frame what is written in place of what has come."""
        if self._content is None or not content:
            return content
        return b"%x\r\n%b\r\n" % (len(content), content)
