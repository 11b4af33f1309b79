"""`--workers N`: one process for each core, one admin port for all of them."""
