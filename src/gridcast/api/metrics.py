"""What Prometheus is told: requests and how long they took, how new forecasts and data are, which models answer.

With several workers each counts in files of its own, in the folder that ``PROMETHEUS_MULTIPROC_DIR`` named before the
first import of prometheus_client, and whoever is scraped adds them up.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, Summary, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from gridcast.api.logs import Seen
from gridcast.sources.fetched import Clock

if TYPE_CHECKING:
    from gridcast.api.state import State

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
CONTENT_TYPE = CONTENT_TYPE_LATEST

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS"})
_HOUR = timedelta(hours=1)


class Metrics:
    """The counters of one worker, and the page that all of them make."""

    def __init__(self, *, state: Callable[[], State], clock: Clock) -> None:
        self._registry = CollectorRegistry()
        self._page = CollectorRegistry() if os.environ.get(FOLDER) else self._registry
        if self._page is not self._registry:
            MultiProcessCollector(self._page)  # type: ignore[no-untyped-call]
        self._page.register(_Ages(state, clock=clock))
        labels = ("method", "route")
        self._requests = Counter(
            "gridcast_requests", "Requests answered.", (*labels, "status"), registry=self._registry
        )
        self._errors = Counter(
            "gridcast_errors", "Answers of 4xx and 5xx.", (*labels, "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "gridcast_request_seconds",
            "From a request's head to the last byte of its answer.",
            labels,
            registry=self._registry,
            buckets=_BUCKETS,
        )
        self._input = Summary("gridcast_input_bytes", "Bytes of request bodies.", labels, registry=self._registry)
        self._reads = Counter(
            "gridcast_forecasts_read", "Stored forecasts that were read.", ("zone",), registry=self._registry
        )

    def observe(self, seen: Seen) -> None:
        """Count a request that is done with; one that found no route counts for ``none``, whatever its path."""
        method = seen.method if seen.method in _METHODS else "OTHER"
        route, status = seen.route or "none", str(seen.status)
        self._requests.labels(method, route, status).inc()
        self._seconds.labels(method, route).observe(seen.seconds)
        if seen.status >= 400:
            self._errors.labels(method, route, status).inc()
        if method == "POST":
            self._input.labels(method, route).observe(seen.bytes_in)

    def read(self, zone: str) -> None:
        """Count a stored forecast that was read."""
        self._reads.labels(zone).inc()

    def page(self) -> bytes:
        """The page in Prometheus's text format."""
        return generate_latest(self._page)


class _Ages(Collector):
    """What is not counted but looked up when somebody asks."""

    def __init__(self, state: Callable[[], State], *, clock: Clock) -> None:
        self._state = state
        self._clock = clock

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        state, now = self._state(), self._clock.now()
        data = GaugeMetricFamily("gridcast_data_age_hours", "Since the newest load ended.", labels=["zone"])
        forecast = GaugeMetricFamily("gridcast_forecast_age_hours", "Since the newest forecast.", labels=["zone"])
        for code, each in state.freshness.items():
            if each.load_until is not None:
                data.add_metric([code], (now - each.load_until) / _HOUR)
            if each.issued is not None:
                forecast.add_metric([code], (now - each.issued) / _HOUR)
        model = GaugeMetricFamily("gridcast_model", "1 for each model in use.", labels=["zone", "model", "version"])
        for code, champion in state.champions.items():
            model.add_metric([code, champion.manifest.model, champion.version.id], 1)
        if state.classic is not None:
            model.add_metric(["", "conv1d_classic", state.classic.version], 1)
        ready = GaugeMetricFamily("gridcast_ready", "1 where the service is ready.")
        ready.add_metric([], float(state.readiness(now=now)["ready"]))
        yield from (data, forecast, model, ready)
