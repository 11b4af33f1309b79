"""A small AI-like product, for `bb-sidecar demo` and for the end-to-end tests."""
