"""The exposition, read by Prometheus' own parser."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from serving.engines import Task, engine
from serving.local_engine.metrics import Counter, Gauge, Histogram, geometric, linear, render


def families(text: str):
    return {family.name: family for family in text_string_to_metric_families(text)}


def test_text_format():
    counter = Counter("c", "A counter", ("err",), [("a",)])
    counter.add("b", amount=2)
    histogram = Histogram("h", "A histogram", (1, 2.5), ("method",))
    for value in (0.5, 1, 2, 9):
        histogram.observe(value, "x")
    histogram.observe(2, "x", times=3)
    assert render([counter, Gauge("g", "A gauge", lambda: 3), histogram]) == (
        "# HELP c A counter\n# TYPE c counter\n"
        'c{err="a"} 0\nc{err="b"} 2\n'
        "# HELP g A gauge\n# TYPE g gauge\ng 3\n"
        "# HELP h A histogram\n# TYPE h histogram\n"
        'h_bucket{method="x",le="1"} 2\nh_bucket{method="x",le="2.5"} 6\nh_bucket{method="x",le="+Inf"} 7\n'
        'h_sum{method="x"} 18.5\nh_count{method="x"} 7\n'
    )
    assert (counter.value("b"), counter.value("never")) == (2, 0)


def test_bounds():
    assert geometric(1, 2, 4) == (1, 2, 4, 8)
    assert linear(200, 4) == (50, 100, 150, 200)


@pytest.fixture(scope="module")
def exposition(chat) -> str:
    chat.post("/generate", {"inputs": "The whale", "parameters": {"max_new_tokens": 5}})
    chat.eventually("tgi_batch_next_size_count", 1)
    return chat.get("/metrics").body


def test_names_and_types_are_tgis_and_counters_have_no_total_suffix(exposition):
    found = {name: family.type for name, family in families(exposition).items()}
    histograms = ("duration", "validation_duration", "queue_duration", "inference_duration")
    histograms += ("mean_time_per_token_duration", "input_length", "generated_tokens", "max_new_tokens")
    expected = {f"tgi_request_{name}": "histogram" for name in histograms}
    expected |= {f"tgi_request_{name}": "counter" for name in ("count", "success", "failure")}
    expected |= {f"tgi_batch_inference_{name}": "counter" for name in ("count", "success")}
    expected |= {"tgi_batch_inference_duration": "histogram", "tgi_batch_next_size": "histogram"}
    expected |= dict.fromkeys(("tgi_queue_size", "tgi_batch_current_size", "tgi_batch_current_max_tokens"), "gauge")
    expected |= {"local_prompt_tokens": "counter", "local_prompt_tokens_cached": "counter"}
    expected |= {"local_time_to_first_token_seconds": "histogram", "local_prefix_cache_tokens": "gauge"}
    assert found == expected


def test_buckets_are_tgis(exposition):
    def bounds(name: str) -> list[float]:
        samples = families(exposition)[name].samples
        return [float(sample.labels["le"]) for sample in samples if sample.name.endswith("_bucket")]

    durations = bounds("tgi_request_duration")
    assert len(durations) == 35 + 1
    assert durations[0] == pytest.approx(0.00015)
    assert durations[-2] == pytest.approx(145.6, rel=1e-3)
    lengths = bounds("tgi_request_input_length")
    assert len(lengths) == 100 + 1
    assert lengths[-2] == pytest.approx(511)
    assert bounds("tgi_request_generated_tokens")[-2] == pytest.approx(512)


def test_one_request_is_counted_everywhere(exposition):
    lines = dict(line.rsplit(" ", 1) for line in exposition.splitlines() if not line.startswith("#"))
    expected = {
        "tgi_request_count": 1,
        "tgi_request_success": 1,
        "tgi_request_generated_tokens_sum": 5,
        "tgi_request_input_length_sum": 2,
        "tgi_request_max_new_tokens_sum": 5,
        "local_prompt_tokens": 2,
        'tgi_batch_inference_success{method="prefill"}': 1,
        'tgi_batch_inference_success{method="decode"}': 4,
        'tgi_batch_inference_duration_count{method="decode"}': 4,
        "local_time_to_first_token_seconds_count": 1,
    }
    assert {name: float(lines[name]) for name in expected} == expected


def test_every_name_that_the_adapter_promises_exists(exposition):
    promised = engine("local").metrics(Task.GENERATE)
    names = {
        *(promised.running, promised.waiting, promised.success, promised.failure, promised.duration),
        *(promised.queue_duration, promised.input_tokens, promised.generated_tokens, promised.itl),
        *(promised.ttft, promised.cached_prompt_tokens),
    }
    assert names <= set(families(exposition))
    labels = {sample.labels[promised.failure_label] for sample in families(exposition)[promised.failure].samples}
    assert {*promised.client_failures, *promised.overload_failures} <= labels
