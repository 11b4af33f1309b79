"""Envoy over gRPC. Needs the packages of the extra `envoy`: only `authz --grpc` imports it."""
