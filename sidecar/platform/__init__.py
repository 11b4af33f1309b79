"""The hot consume call: the wire, its answers, and the breaker."""
