"""Port numbers of local processes: which are free, who holds one, which to take next."""

import socket
from collections.abc import Collection
from pathlib import Path

LISTEN = "0A"
"""The kernel's code of a listening socket in /proc/net/tcp."""


class PortError(RuntimeError):
    """No port could be had."""


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
    inodes = {
        fields[9]
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        for fields in _rows(Path(table))
        if fields[3] == LISTEN and int(fields[1].rpartition(":")[2], 16) == port
    }
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(str(link.readlink()) in wanted for link in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
        except OSError:  # gone meanwhile, or another user's
            continue
    return "another process"


def _rows(table: Path) -> list[list[str]]:
    try:
        return [line.split() for line in table.read_text().splitlines()[1:]]
    except OSError:
        return []
