"""Fuzzing: every entry that reads what strangers send, fed by libFuzzer through atheris.

    python -m tests.fuzz --seconds 60            # all targets in turn, a minute in all
    python -m tests.fuzz --seconds 600 token     # one target, ten minutes

`corpus/<target>/` has the seeds. A finding is written to `findings/<target>/` and stays in the
repository: test_replay.py plays seeds and findings to their targets on every run of the tests.
"""
