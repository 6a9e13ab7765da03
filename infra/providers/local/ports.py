"""Port numbers of local processes: which are free, who holds one, which to take next."""

import socket
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

LISTEN, HANDSHAKE = "0A", "03"
"""The kernel's codes of socket states in /proc/net/tcp."""


class PortError(RuntimeError):
    """No port could be had."""


LOOPBACK = f"{int.from_bytes(socket.inet_aton('127.0.0.1'), sys.byteorder):08X}:"
"""How an address there begins for 127.0.0.1: the number as this machine's memory has it."""


def is_free(port: int) -> bool:
    """Whether a server could listen on 127.0.0.1:`port` now."""
    with socket.socket() as probe:
        # As servers do: a connection of a finished process that lingers is no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def take(port_range: tuple[int, int], reserved: Collection[int]) -> int:
    """The lowest port of the range (both ends included) that is free and not reserved."""
    first, last = port_range
    for port in range(first, last + 1):
        if port not in reserved and is_free(port):
            return port
    raise PortError(f"no free port between {first} and {last}; widen `berth:local` `ports` or stop what holds them")


def holder(port: int) -> str:
    """Who listens on `port`, as `name (pid N)`; "another process" where the kernel does not tell this user."""
    wanted = {listener.inode for listener in listeners(port)}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if wanted & sockets(int(process.name)):
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
        except OSError:  # gone meanwhile, or another user's
            continue
    return "another process"


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening socket."""

    inode: int
    loopback: bool
    """It listens on 127.0.0.1 alone."""
    queue: int
    """Connections that the kernel has accepted and its process has not."""


def listeners(port: int) -> list[Listener]:
    """The sockets that listen on `port`; several where processes share it."""
    return [
        Listener(int(row[9]), row[1].startswith(LOOPBACK), int(row[4].rpartition(":")[2], 16))
        for row in _rows(port)
        if row[3] == LISTEN
    ]


def arriving(port: int) -> int:
    """Connections to `port` whose handshake is not over."""
    return sum(row[3] == HANDSHAKE for row in _rows(port))


def sockets(pid: int) -> set[int]:
    """Inodes of a process's sockets. Raises OSError when the process is gone or another user's."""
    found = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            link = str(descriptor.readlink())
        except FileNotFoundError:  # closed meanwhile
            continue
        if link.startswith("socket:["):
            found.add(int(link[len("socket:[") : -1]))
    return found


def _rows(port: int) -> Iterator[list[str]]:
    """The kernel's tables of sockets whose local port is this, split into fields."""
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        try:
            lines = table.read_text().splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            if int(fields[1].rpartition(":")[2], 16) == port:
                yield fields
