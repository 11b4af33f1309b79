"""HTTP/1.1 on the wire: heads, body framing, client connections, their pool.

Knows nothing of metering: the data plane and the consume call are both built on it.
"""
