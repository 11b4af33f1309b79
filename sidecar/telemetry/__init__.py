"""What is seen of the sidecar from outside: metrics and logs, with no credential in either."""
