"""Every metric there is: name, labels, kind, how workers' values combine, and what to do with it.

Names and labels are API (interface.md, "Metrics"); docs/metrics.md explains each, and a test keeps
the two in step.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

PREFIX: Final = "bb_sidecar_"


class Kind(StrEnum):
    """How a metric moves, and how the values of several workers become one.

    Counters and histograms add up. A gauge adds up where it counts things that a worker owns;
    where it is a view of something shared, the largest or the smallest view is the one to act on.
    """

    COUNTER = "counter"
    HISTOGRAM = "histogram"
    GAUGE_SUM = "gauge_sum"
    GAUGE_MAX = "gauge_max"
    GAUGE_MIN = "gauge_min"

    @property
    def gauge(self) -> bool:
        """Whether it is set, rather than counted up."""
        return self in {Kind.GAUGE_SUM, Kind.GAUGE_MAX, Kind.GAUGE_MIN}


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric; `name` as the interface writes it, without the prefix. Buckets in seconds.

    A gauge `of_file` describes what lies in a worker's file, and so outlives the worker.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()
    of_file: bool = False


_ANSWER: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300,
)  # fmt: skip
_ADDED: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,
)  # fmt: skip
_CONSUME: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_LAG: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)


def _counter(name: str, labels: tuple[str, ...], text: str) -> Metric:
    return Metric(name, Kind.COUNTER, labels, text)


REQUESTS = _counter(
    "requests_total", ("route", "verdict", "reason", "code"),
    "Answers sent. A rise of a reason with verdict deny: see that reason in the glossary.",
)  # fmt: skip
REQUEST_DURATION = Metric(
    "request_duration_seconds", Kind.HISTOGRAM, ("route",),
    "From the request head read to the answer sent. It includes the product's time.",
    _ANSWER,
)  # fmt: skip
OVERHEAD = Metric(
    "overhead_seconds", Kind.HISTOGRAM, ("route",),
    "Time added before the product was called. High: compare with consume_duration_seconds.",
    _ADDED,
)  # fmt: skip
UNITS = _counter(
    "units_total", ("resource", "route", "reason"),
    "Units admitted, by reason. Compare with what the platform counted.",
)  # fmt: skip
CONSUME_REQUESTS = _counter(
    "consume_requests_total", ("outcome",),
    "Requests to the platform by outcome. Other than granted and refused: check the platform.",
)  # fmt: skip
CONSUME_DURATION = Metric(
    "consume_duration_seconds", Kind.HISTOGRAM, (),
    "Time of one request to the platform. Near platform_timeout: calls will get no answer in time.",
    _CONSUME,
)  # fmt: skip
BREAKER_STATE = Metric(
    "platform_breaker_state", Kind.GAUGE_MAX, (),
    "0 closed, 1 half open, 2 open. Above 0: only probes ask the platform, the policy decides.",
)  # fmt: skip
DEGRADED = _counter(
    "platform_degraded_total", ("kind",),
    "Calls decided without a valid platform answer. credential_refused: fix the key.",
)  # fmt: skip
FAIL_OPEN_SPENT = Metric(
    "fail_open_budget_spent_ratio", Kind.GAUGE_MAX, (),
    "Share of its fail-open budget that the worst org has spent. At 1 its calls get 503.",
)  # fmt: skip
JOURNAL_PENDING = Metric(
    "journal_pending_units", Kind.GAUGE_SUM, (),
    "Units admitted and not yet confirmed by the platform. Must fall once it answers again.",
    of_file=True,
)  # fmt: skip
JOURNAL_OLDEST = Metric(
    "journal_oldest_seconds", Kind.GAUGE_MAX, (),
    "Age of the oldest unconfirmed unit. At 86400 it is dropped: restore the platform.",
    of_file=True,
)  # fmt: skip
JOURNAL_REPLAYED = _counter(
    "journal_replayed_units_total", ("outcome",),
    "Units reported to the platform later, by outcome. refused: used beyond the quota.",
)  # fmt: skip
JOURNAL_DROPPED = _counter(
    "journal_dropped_units_total", (),
    "Units used and never billed. Any rise is a loss: the log has its cause.",
)  # fmt: skip
JOURNAL_UNWRITABLE = Metric(
    "journal_unwritable", Kind.GAUGE_MAX, (),
    "1 while the journal accepts no entries: no call can fail open. Free or repair its disk.",
)  # fmt: skip
JOURNAL_DAMAGED = Metric(
    "journal_damaged_bytes", Kind.GAUGE_SUM, (),
    "Bytes of the journal that could not be read at the start. Above 0: see journal_damaged.",
)  # fmt: skip
LEASE_UNITS = Metric(
    "lease_units", Kind.GAUGE_SUM, ("state",),
    "Units consumed ahead of their calls. Large and idle: leases are bigger than the traffic.",
)  # fmt: skip
LEASE_REQUESTS = _counter(
    "lease_requests_total", ("outcome",),
    "Requests for leases, by outcome. Many for the units: leases are too small.",
)  # fmt: skip
CREDITS = Metric(
    "credits_units", Kind.GAUGE_SUM, (),
    "Units paid for attempts that failed, waiting for the next call. Growing: the product fails.",
)  # fmt: skip
CREDITS_LOST = _counter(
    "credits_lost_units_total", ("cause",),
    "Paid units that will not be used. expired in the middle of a period: check the clock.",
)  # fmt: skip
USAGE_TOKENS = _counter(
    "usage_tokens_total", ("route", "kind"),
    "Tokens that answers named, none counted twice. Routes with `usage` charge by them.",
)  # fmt: skip
USAGE_MISSING = _counter(
    "usage_missing_total", ("route", "cause"),
    "Answers without usage, charged by the policy's `missing`. A rise of absent: ask for usage.",
)  # fmt: skip
SETTLED_UNITS = _counter(
    "settled_units_total", ("resource", "route", "outcome"),
    "Difference between deposit and cost, in units. overrun: used beyond the quota.",
)  # fmt: skip
HELD_UNITS = Metric(
    "held_units", Kind.GAUGE_SUM, ("resource",),
    "Units that calls in progress may still cost. 0 when no call is in progress.",
)  # fmt: skip
REPLAYS = _counter(
    "replays_total", ("action",),
    "Request IDs seen again. A rise: a client retries, or reuses its IDs.",
)  # fmt: skip
ATTEMPTS_SHARED = Metric(
    "attempts_shared", Kind.GAUGE_MIN, (),
    "1 while attempts are counted over all replicas. 0: each counts alone, GET /ready says why.",
)  # fmt: skip
IDENTITY_FAILURES = _counter(
    "identity_failures_total", ("kind",),
    "Metered calls without a valid token. keys_unavailable: check the auth host.",
)  # fmt: skip
JWKS_KEYS = Metric(
    "jwks_keys", Kind.GAUGE_MIN, (),
    "Public keys that are trusted now. 0: no platform token can be verified.",
)  # fmt: skip
JWKS_AGE = Metric(
    "jwks_age_seconds", Kind.GAUGE_MAX, (),
    "Since the key set was last fetched; none before the first. Above 1800: check the auth host.",
)  # fmt: skip
JWKS_REFRESH = _counter(
    "jwks_refresh_total", ("outcome",),
    "Fetches of the key set, by outcome. Only failures: the last good keys are in use.",
)  # fmt: skip
QUOTA_LIMIT = Metric(
    "quota_limit_units", Kind.GAUGE_MAX, ("org", "resource"),
    "Limit in the last answer, for the most recent orgs. Unlimited ones have no series.",
)  # fmt: skip
QUOTA_USED = Metric(
    "quota_used_units", Kind.GAUGE_MAX, ("org", "resource"),
    "Used in the last answer, for the most recent orgs. Near the limit: the org will run out.",
)  # fmt: skip
QUOTA_REMAINING = Metric(
    "quota_remaining_units", Kind.GAUGE_MIN, ("org", "resource"),
    "Left in the last answer, for the most recent orgs. 0: that org is refused.",
)  # fmt: skip
QUOTA_RESET = Metric(
    "quota_reset_timestamp_seconds", Kind.GAUGE_MAX, ("org", "resource"),
    "When the quota's period ends, Unix time. In the past: the other figures are of an old period.",
)  # fmt: skip
INFLIGHT = Metric(
    "inflight_requests", Kind.GAUGE_SUM, (),
    "Requests being served, streams included. Near max-inflight: calls will get 503.",
)  # fmt: skip
OPEN_CONNECTIONS = Metric(
    "open_connections", Kind.GAUGE_SUM, (),
    "Client connections. Near max-connections: calls will get 503.",
)  # fmt: skip
LOOP_LAG = Metric(
    "loop_lag_seconds", Kind.HISTOGRAM, (),
    "How late the event loop runs. Over 0.05: the CPU is short, or one call blocks the others.",
    _LAG,
)  # fmt: skip
CONNECTIONS_CLOSED = _counter(
    "connections_closed_total", ("cause",),
    "Client connections that the sidecar closed. A rise: slow or hostile clients.",
)  # fmt: skip
UPSTREAM_ERRORS = _counter(
    "upstream_errors_total", ("kind",),
    "The product could not be reached, or gave no complete answer. A rise: check the product.",
)  # fmt: skip
WEBHOOK_EVENTS = _counter(
    "webhook_events_total", ("outcome",),
    "Deliveries of the platform's events. unsigned or expired: another sender, or an old secret.",
)  # fmt: skip
NOTICES = _counter(
    "notices_total", ("outcome",),
    "Quota notices to orgs by outcome. refused: the bbk_ key is not of that org, or cannot write.",
)  # fmt: skip
POLICY_RELOAD = _counter(
    "policy_reload_total", ("outcome",),
    "Reloads of the policy. rejected: the last good one stays in force; see the log.",
)  # fmt: skip
POLICY_SUCCESSFUL = Metric(
    "policy_last_reload_successful", Kind.GAUGE_MIN, (),
    "1: the policy file is in force. 0: it was rejected, the last good one stays in force.",
)  # fmt: skip
POLICY_INFO = Metric(
    "policy_info", Kind.GAUGE_MAX, ("version", "hash"),
    "The policy in force. Two hashes across replicas: a rollout is under way, or one is stuck.",
)  # fmt: skip
BUILD_INFO = Metric(
    "build_info", Kind.GAUGE_MAX, ("version", "revision", "python", "build"),
    "The build that runs. Two across replicas: a rollout is under way.",
)  # fmt: skip

METRICS: Final = tuple(each for each in tuple(globals().values()) if isinstance(each, Metric))
"""All of them, in the order above: that of the page."""
