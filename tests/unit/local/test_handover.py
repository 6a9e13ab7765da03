"""A port passes from process to process under a flood of new connections, and none is reset."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from infra.providers.local import ports
from infra.providers.local.handover import handed_over
from tests.support.portblock import free_port

SERVER = """
import os, select, signal, socket, sys
port, count, name, lazy = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3].encode(), float(sys.argv[4])
stopping = False
def stop(*_):
    global stopping
    stopping = True
signal.signal(signal.SIGTERM, stop)
listeners = []
for _ in range(count):
    s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    s.bind(("127.0.0.1", port)); s.listen(1024); listeners.append(s)
print("up", flush=True)
while not stopping:
    # A busy server: connections lie in the queue for a while.
    signal.sigtimedwait([signal.SIGUSR1], lazy) if lazy else None
    for s in select.select(listeners, [], [], 0.01)[0]:
        client, _ = s.accept()
        client.sendall(name); client.close()
for s in listeners:
    s.close()
"""


@pytest.fixture
def port() -> int:
    return free_port()


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(port: int) -> Iterator[Start]:
    started = []

    def run(name: str, sockets: int, lazy: float = 0.002) -> "subprocess.Popen[str]":
        words = [sys.executable, "-c", SERVER, str(port), str(sockets), name, str(lazy)]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout
        assert process.stdout.readline() == "up\n"
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


class Flood:
    """Connections from four threads until the block ends."""

    def __init__(self, port: int) -> None:
        self.answers: Counter[str] = Counter()
        self._port = port
        self._stopping = False
        self._changed = threading.Condition()
        self._ended = [0] * 4
        """Connections by thread."""
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(4)]

    def __enter__(self) -> "Flood":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        for thread in self._threads:
            thread.join()

    def more(self, number: int) -> Counter[str]:
        """The next so many answers."""
        with self._changed:
            before = self.answers.copy()
            assert self._changed.wait_for(lambda: (self.answers - before).total() >= number, 60), self.answers
            return self.answers - before

    def renewed(self) -> None:
        """Waits until what was under way is over: later answers are to connections that began after this call did."""
        with self._changed:
            before = list(self._ended)
            assert self._changed.wait_for(lambda: all(map(int.__gt__, self._ended, before)), 60), self.answers

    def _run(self, number: int) -> None:
        while not self._stopping:
            try:
                with socket.create_connection(("127.0.0.1", self._port), timeout=20) as connection:
                    answer = connection.recv(16).decode() or "closed"
            except OSError as error:
                answer = type(error).__name__
            with self._changed:
                self.answers[answer] += 1
                self._ended[number] += 1
                self._changed.notify_all()


@pytest.mark.parametrize(("old", "new"), [(1, 1), (2, 1), (1, 3), (4, 2)])
def test_no_connection_is_lost_whatever_the_numbers_of_sockets(port: int, start: Start, old: int, new: int) -> None:
    first = start("old", old)
    with Flood(port) as flood:
        flood.more(50)
        second = start("new", new)
        flood.more(50)
        with handed_over(port, [first.pid], second.pid):
            assert not any(
                listener.queue for listener in ports.listeners(port) if listener.inode in ports.sockets(first.pid)
            )
            flood.renewed()
            assert flood.more(100).keys() == {"new"}
            first.send_signal(signal.SIGTERM)
            assert first.wait(10) == 0
            assert flood.more(50).keys() == {"new"}
        assert flood.more(50).keys() == {"new"}
    assert flood.answers.keys() == {"old", "new"}
    assert len(ports.listeners(port)) == new, "no spare socket is left"


def test_the_older_process_may_be_the_one_that_stays(port: int, start: Start) -> None:
    staying = start("staying", 2)
    time.sleep(0.05)
    leaving = start("leaving", 2)
    with Flood(port) as flood:
        flood.more(50)
        with handed_over(port, [leaving.pid], staying.pid):
            flood.renewed()
            assert flood.more(100).keys() == {"staying"}
            leaving.send_signal(signal.SIGTERM)
            assert leaving.wait(10) == 0
        flood.more(50)
    assert flood.answers.keys() == {"staying", "leaving"}


def test_a_process_in_the_middle_of_two_that_leave_gets_its_share_as_before(port: int, start: Start) -> None:
    processes = []
    for name in ("a", "b", "c"):
        processes.append(start(name, 1))
        time.sleep(0.05)
    with Flood(port) as flood, handed_over(port, [processes[0].pid, processes[2].pid], processes[1].pid):
        assert flood.more(300).keys() == {"a", "b", "c"}
    assert len(ports.listeners(port)) == 3


def test_after_it_all_sockets_get_their_share_again(port: int, start: Start) -> None:
    first = start("old", 1)
    second = start("new", 1)
    with Flood(port) as flood:
        with handed_over(port, [first.pid], second.pid):
            flood.renewed()
            assert flood.more(50).keys() == {"new"}
        assert flood.more(300).keys() == {"old", "new"}


def test_a_port_that_others_share_too_stays_as_it_is(port: int, start: Start) -> None:
    first, second, _ = start("old", 1), start("new", 1), start("other", 1)
    with Flood(port) as flood, handed_over(port, [first.pid], second.pid):
        assert flood.more(300).keys() == {"old", "new", "other"}


def test_another_address_is_left_alone(port: int) -> None:
    """A spare socket on 127.0.0.1 would be no help to it, and would take what is meant for others."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.bind(("127.0.0.2", port))
        server.listen()
        assert [found.loopback for found in ports.listeners(port)] == [False]
        with handed_over(port, [os.getpid()], os.getpid()):
            assert len(ports.listeners(port)) == 1


def test_processes_that_share_nothing_are_left_alone(port: int, start: Start) -> None:
    only = start("only", 1)
    with handed_over(port, [], only.pid), handed_over(port, [only.pid], 0):
        assert len(ports.listeners(port)) == 1


def test_a_socket_that_closes_loses_what_nobody_has_accepted(port: int) -> None:
    """What this is for: should this fail one day, the module can go."""
    group = []
    for _ in range(2):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(64)
        group.append(listener)
    clients = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(40)]
    group[0].close()
    reset = 0
    for client in clients:
        client.setblocking(False)
        try:
            client.recv(1)
        except BlockingIOError:
            pass
        except ConnectionResetError:
            reset += 1
        client.close()
    group[1].close()
    assert 0 < reset < 40
