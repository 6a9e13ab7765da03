"""Counters, gauges and histograms in Prometheus' text format.

prometheus_client would append `_total` to every counter; TGI and TEI do not, and rules written for them must work here.
All updates happen under the interpreter lock in single operations or from one thread; a scrape may see one observation
half counted, which the next one corrects.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence

Labels = tuple[str, ...]


class Metric:
    """A named family of samples."""

    kind = "untyped"

    def __init__(self, name: str, help_text: str, labels: Sequence[str] = ()) -> None:
        self.name = name
        self._help = help_text
        self._labels = tuple(labels)

    def render(self) -> str:
        """HELP, TYPE and all samples."""
        head = f"# HELP {self.name} {self._help}\n# TYPE {self.name} {self.kind}\n"
        return head + "".join(f"{name}{labels} {value:.12g}\n" for name, labels, value in self._samples())

    def _samples(self) -> Iterable[tuple[str, str, float]]:
        raise NotImplementedError

    def _named(self, values: Labels, **more: str) -> str:
        pairs = [*zip(self._labels, values, strict=True), *more.items()]
        return "{" + ",".join(f'{name}="{value}"' for name, value in pairs) + "}" if pairs else ""


class Counter(Metric):
    """Counts up. With labels, a series exists from its first event on, or from `ready`."""

    kind = "counter"

    def __init__(self, name: str, help_text: str, labels: Sequence[str] = (), ready: Sequence[Labels] = ()) -> None:
        super().__init__(name, help_text, labels)
        self._values: dict[Labels, float] = dict.fromkeys(ready or ([] if labels else [()]), 0.0)

    def add(self, *labels: str, amount: float = 1) -> None:
        """Count `amount` more."""
        self._values[labels] = self._values.get(labels, 0) + amount

    def value(self, *labels: str) -> float:
        """The count."""
        return self._values.get(labels, 0)

    def _samples(self) -> Iterable[tuple[str, str, float]]:
        for labels, value in list(self._values.items()):
            yield self.name, self._named(labels), value


class Gauge(Metric):
    """A value read when it is scraped."""

    kind = "gauge"

    def __init__(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        super().__init__(name, help_text)
        self._read = read

    def _samples(self) -> Iterable[tuple[str, str, float]]:
        yield self.name, "", self._read()


class Histogram(Metric):
    """Observations in buckets."""

    kind = "histogram"

    def __init__(self, name: str, help_text: str, bounds: Sequence[float], labels: Sequence[str] = ()) -> None:
        super().__init__(name, help_text, labels)
        self._bounds = tuple(bounds)
        self._counts: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}
        if not labels:
            self._counts[()], self._sums[()] = [0] * (len(self._bounds) + 1), 0.0

    def observe(self, value: float, *labels: str, times: int = 1) -> None:
        """Count an observation, or several alike."""
        counts = self._counts.setdefault(labels, [0] * (len(self._bounds) + 1))
        counts[bisect_left(self._bounds, value)] += times
        self._sums[labels] = self._sums.get(labels, 0.0) + value * times

    def _samples(self) -> Iterable[tuple[str, str, float]]:
        for labels, counts in list(self._counts.items()):
            total = 0
            for bound, count in zip((*self._bounds, None), counts, strict=True):
                total += count
                edge = "+Inf" if bound is None else f"{bound:.12g}"
                yield f"{self.name}_bucket", self._named(labels, le=edge), total
            yield f"{self.name}_sum", self._named(labels), self._sums.get(labels, 0.0)
            yield f"{self.name}_count", self._named(labels), total


def render(metrics: Iterable[Metric]) -> str:
    """The body of GET /metrics."""
    return "".join(metric.render() for metric in metrics)


def geometric(first: float, ratio: float, count: int) -> tuple[float, ...]:
    """`first`, `first` * `ratio`, … (`count` bounds)."""
    return tuple(first * ratio**k for k in range(count))


def linear(most: float, count: int = 100) -> tuple[float, ...]:
    """`count` equal buckets up to `most`."""
    return tuple(most / count * (k + 1) for k in range(count))
