"""Errors of the sidecar: one small tree. A refusal is a value (`Decision`), not one of these."""

from __future__ import annotations


class SidecarError(Exception):
    """Anything the sidecar raises on purpose. The text names the thing, the value and the fix."""


class UserError(SidecarError):
    """A mistake in a flag, setting or file: shown as one line on stderr, exit status 2."""


class TransientError(SidecarError):
    """A fault of a peer that may pass: worth trying again later."""


class NoRoomError(SidecarError):
    """This process has no memory left for a request's body; nothing is wrong with the request."""
