"""The injector beside strangers: the API server's reviews, quiet and under attack, in one run."""

from __future__ import annotations

import http.client
import json
import ssl
import statistics
import sys
import time
from pathlib import Path
from typing import Final

from tests.bench.attacked import Prober, Setting, Sidecar, attacking
from tests.bench.isolation import Isolation, ratio_of
from tests.bench.processes import SYSTEM_CORE, forget_peak, free_port, peak_bytes, running
from tests.unit.inject.pods import config, pod
from tests.unit.inject.test_certificate import make_certificate

MOST_BYTES: Final = 128 * 1024 * 1024
"""The chart's limit."""

_PAUSE: Final = 0.02
_SETTING: Final = Setting("reviews", "reviews of 3 and 8 MB at the injector, 10 at once")


def measure(folder: Path, *, seconds: int) -> Isolation:
    """Post one small review after another, first alone and then beside the attack."""
    certificate = make_certificate(folder, "injector")
    what = folder / "injector.yaml"
    what.write_text(config().model_dump_json())  # JSON is YAML
    port, plain = free_port(), free_port()
    command: list[str | Path] = [
        sys.executable, "-m", "sidecar", "inject", "--config", what, "--cert", certificate.cert,
        "--key", certificate.key, "--listen", f"127.0.0.1:{port}",
        "--metrics", f"127.0.0.1:{plain}",
    ]  # fmt: skip
    with running(command, core=SYSTEM_CORE, port=plain, log=folder / "injector.log") as process:
        injector = Sidecar(port, plain, process.pid)
        quiet, lost = _review(port, certificate.cert, seconds)
        forget_peak(injector.pid)
        prober = Prober(injector)
        prober.start()
        with attacking(_SETTING, injector, "none"):
            attacked, failed = _review(port, certificate.cert, seconds)
            probe = prober.end()
        peak = peak_bytes(injector.pid)
    before, after = _p99(quiet), _p99(attacked)
    return Isolation(
        _SETTING.title, "reviews", statistics.median(quiet), before, after,
        ratio_of(before, after), probe, peak, 0.0, lost + failed, MOST_BYTES,
    )  # fmt: skip


def _review(port: int, ca: Path, seconds: float) -> tuple[list[float], int]:
    """Return how long each review took, and how many got no 200."""
    context = ssl.create_default_context(cafile=str(ca))
    request = {"uid": "1", "kind": {"kind": "Pod"}, "operation": "CREATE", "namespace": "notes",
               "object": pod()}  # fmt: skip
    body = json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
                       "request": request})  # fmt: skip
    took, failed = [], 0
    end = time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
        try:
            connection.request("POST", "/mutate", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            failed += answer.status != http.client.OK
        except OSError:
            failed += 1
        finally:
            connection.close()
        took.append(time.perf_counter() - began)
        time.sleep(_PAUSE)
    return took, failed


def _p99(took: list[float]) -> float:
    return statistics.quantiles(took, n=100)[-1]
