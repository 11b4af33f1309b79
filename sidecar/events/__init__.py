"""Events of the platform: received, proved, and turned into what they make stale here."""
