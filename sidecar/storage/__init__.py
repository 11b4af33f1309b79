"""State shared by replicas, in stores that may be absent or slow."""
