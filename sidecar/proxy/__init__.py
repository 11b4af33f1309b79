"""The data plane: what stands between a client and the product, byte by byte."""
