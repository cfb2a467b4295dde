"""Reads metrics in memory, through OpenTelemetry's SDK."""

from __future__ import annotations

from collections import Counter

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader

from engine.observing.metrics import METER, Metrics


class Measured:
    """Metrics with a provider of their own, and the numbers they have recorded so far."""

    def __init__(self, **options):
        self._reader = InMemoryMetricReader()
        self._provider = MeterProvider([self._reader], shutdown_on_exit=False)
        self.instruments = Metrics(self._provider.get_meter(METER), **options)

    def metrics(self) -> dict:
        """The SDK's metrics by name; the common prefix of the names is left out."""
        data = self._reader.get_metrics_data()
        scopes = (
            [scope for resource in data.resource_metrics for scope in resource.scope_metrics] if data else []
        )
        return {metric.name.removeprefix(f"{METER}."): metric for scope in scopes for metric in scope.metrics}

    def numbers(self) -> Counter:
        """The sum of each metric (of a histogram, the count), by its name and its attribute's value."""
        return Counter(
            {
                (name, next(iter(point.attributes.values()), None)): (
                    point.count if isinstance(point, HistogramDataPoint) else point.value
                )
                for name, metric in self.metrics().items()
                for point in metric.data.data_points
            }
        )

    def close(self):
        """Shuts the provider down."""
        self._provider.shutdown()
