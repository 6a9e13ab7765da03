"""What SIGTERM does to open streams, and what it does not."""

import http.client
import json
import os
import signal
import socket
import time

import pytest

pytestmark = pytest.mark.thorough


def refuses(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_open_stream_finishes_the_listener_closes_at_once_and_the_exit_code_is_zero(serve, stream):
    server = serve("tiny-gpt2", "--token-delay-ms", "60")
    open_one = stream(server, 60)
    server.process.send_signal(signal.SIGTERM)
    until = time.monotonic() + 10
    while not refuses(server.port):
        assert time.monotonic() < until
        time.sleep(0.01)
    events = open_one.finish()
    assert events[-1]["index"] == 60
    assert events[-1]["details"]["finish_reason"] == "length"
    assert server.stop() == 0
    assert [line["event"] for line in server.log] == ["ready", "draining", "request", "drained"]
    assert server.log[1]["open"] == 1


def test_queued_request_is_served_before_the_exit(serve, stream):
    flags = ("--max-concurrent-requests", "1", "--token-delay-ms", "80")
    server = serve("tiny-gpt2", *flags)
    open_one = stream(server, 40)
    waiting = server.connect()
    body = json.dumps({"inputs": "x", "parameters": {"max_new_tokens": 2}})
    waiting.request("POST", "/generate", body, {"content-type": "application/json"})
    server.eventually("tgi_queue_size", 1)
    server.process.send_signal(signal.SIGTERM)
    assert waiting.getresponse().status == 200
    open_one.finish()
    waiting.close()
    assert server.stop() == 0


def test_idle_connection_does_not_hold_up_the_exit(serve):
    server = serve("tiny-gpt2")
    connection = server.connect()
    connection.request("GET", "/health")
    connection.getresponse().read()
    started = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - started < 10
    connection.close()


def test_answer_that_takes_longer_than_the_drain_is_cut_and_the_exit_code_says_so(serve, stream):
    server = serve("tiny-gpt2", "--token-delay-ms", "200", "--drain-seconds", "0.5")
    open_one = stream(server, 500)
    assert server.stop() == 1
    with pytest.raises(http.client.IncompleteRead):
        open_one.finish()
    assert next(line for line in server.log if line["event"] == "cutting")["open"] == 1


def test_interrupt_from_the_keyboard_drains_too(serve):
    server = serve("tiny-gpt2")
    assert server.stop(signal.SIGINT) == 0


def test_no_child_is_left_behind(serve):
    server = serve("tiny-gpt2")
    server.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(server.process.pid, 0)
