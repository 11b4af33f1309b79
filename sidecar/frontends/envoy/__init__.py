"""Envoy over gRPC. Needs the packages of the extra `envoy`: only `authz --grpc` imports it."""

import os

# gRPC's core writes lines of its own to stderr, such as one for each failed handshake; the log is
# JSON lines. It reads this when it is imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
