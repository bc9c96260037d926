"""Numbers of the service for Prometheus: counts, seconds, sizes. Knows names of extractors and outcomes, no text."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

__all__ = ["METRICS_TYPE", "ExtractorMetrics", "ServiceMetrics"]

METRICS_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
ROWS = (1, 2, 4, 8, 12, 16, 24, 32, 64, 128, 256)
PROBABILITIES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1)


class ServiceMetrics:
    """The metrics of one service, in a registry of their own.

    Args:
        names: The extractors.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._texts = self._counter("texts", "Texts by outcome: record, or the code of a problem.", "outcome")
        self._tokens = self._counter("tokens", "Tokens of records.")
        self._queue = self._histogram("queue_seconds", "Seconds that a text waited for its engine.", SECONDS)
        self._engine = self._histogram("engine_seconds", "Seconds that a text took in its engine.", SECONDS)
        self._rows = self._histogram("batch_size", "Texts in the engine, as each one joined.", ROWS)
        self._confidence = self._histogram("confidence", "Confidence in records.", PROBABILITIES)
        self._waiting = self._gauge("queue_depth", "Texts that wait for their engine.")
        self._requests = Counter(
            "extractft_http_requests", "Requests by route and status.", ["route", "status"], registry=self.registry
        )
        self.extractors = {name: ExtractorMetrics(self, name) for name in names}

    def request(self, route: str, status: int) -> None:
        """Count a request."""
        self._requests.labels(route, str(status)).inc()

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def _counter(self, name: str, words: str, *labels: str) -> Counter:
        return Counter(f"extractft_{name}", words, ["extractor", *labels], registry=self.registry)

    def _gauge(self, name: str, words: str) -> Gauge:
        return Gauge(f"extractft_{name}", words, ["extractor"], registry=self.registry)

    def _histogram(self, name: str, words: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"extractft_{name}", words, ["extractor"], buckets=buckets, registry=self.registry)


class ExtractorMetrics:
    """The metrics of one extractor."""

    def __init__(self, metrics: ServiceMetrics, name: str) -> None:
        self._name, self._texts = name, metrics._texts
        self._by_outcome: dict[str, Counter] = {}
        self.tokens = metrics._tokens.labels(name)
        self.queue_seconds = metrics._queue.labels(name)
        self.engine_seconds = metrics._engine.labels(name)
        self.batch_size = metrics._rows.labels(name)
        self.confidence = metrics._confidence.labels(name)
        self._waiting = metrics._waiting.labels(name)
        self.outcome("record", 0)

    def watch_queue(self, depth: Callable[[], float]) -> None:
        """Ask for the depth of the queue whenever metrics are read."""
        self._waiting.set_function(depth)

    def outcome(self, outcome: str, count: int = 1) -> None:
        """Count a text."""
        if outcome not in self._by_outcome:
            self._by_outcome[outcome] = self._texts.labels(self._name, outcome)
        self._by_outcome[outcome].inc(count)
