"""A metering sidecar: enforces a product's AI-call quota in front of its HTTP routes."""

__version__ = "0.1.0"
