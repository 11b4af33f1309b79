"""What holds for every test."""

from __future__ import annotations

from hypothesis import settings

# A deadline would make a test's verdict depend on how busy the machine is.
settings.register_profile("house", deadline=None)
settings.load_profile("house")
