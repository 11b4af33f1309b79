"""Doors beside the proxy: adapters from a request of another server to the engine."""
