"""Reads what an answer says that its call has cost, beside the stream. No I/O and no clock."""
