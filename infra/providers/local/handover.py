"""Hands a port that an old and a new process share over to the new one, without losing a connection.

Both listen with SO_REUSEPORT, so the kernel spreads new connections over all their sockets. A process that ends takes
with it what lies accepted in the queues of its sockets: those clients are reset. So the kernel is told beforehand to
give new connections to the new process's sockets only, by a program of four instructions over the group of sockets
(SO_ATTACH_REUSEPORT_CBPF, socket(7); no privilege needed). The program names sockets by their place in the group.
Places are in the order of listening, and when a socket closes, the last one moves to its place
(net/core/sock_reuseport.c). To keep the new sockets where they are while the old ones close, a spare socket joins at
the end for every old one. Spare sockets never answer: should a connection come to one in the instants before the
program is there or after it has gone, its first packet is dropped, and the client's kernel sends another one second
later.
"""

import ctypes
import socket
import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from infra.providers.local import ports

ATTACH_FILTER = 26
ATTACH_REUSEPORT_CBPF = 51
DETACH_REUSEPORT_BPF = 68
"""Socket options of Linux that Python has no names for (include/uapi/asm-generic/socket.h)."""
RANDOM = 0xFFFFF000 + 56
"""Where a classic BPF program loads a random number from (linux/filter.h: SKF_AD_OFF + SKF_AD_RANDOM)."""
LOAD, MODULO, ADD, RETURN_A, RETURN = 0x20, 0x94, 0x04, 0x16, 0x06
SETTLE_SECONDS = 5.0
"""Longest wait for the old process to accept what its queues still hold."""

Instruction = tuple[int, int]
"""Operation and operand."""


@contextmanager
def handed_over(port: int, old: Iterable[int], new: int) -> Iterator[None]:
    """Inside the block, in which the old processes end, new connections to `port` of 127.0.0.1 go to `new` alone.

    `old` and `new` are process ids. Nothing is done where they do not share the port, or others share it too. Where
    the kernel refuses the program (gVisor does), the block runs all the same: then the few connections may be reset
    that come as an old process closes its sockets.
    """
    leaving = {pid: found for pid in old if (found := _listening(port, pid))}
    staying = _listening(port, new)
    count = sum(map(len, leaving.values()))
    known = leaving and staying and len(ports.listeners(port)) == count + len(staying)
    first = _first_place(leaving.keys(), count, new) if known else None
    if first is None:
        yield
        return
    with ExitStack() as spares:
        if _direct(port, spares, count, _one_of(first, len(staying))):
            _wait_until_accepted(port, {inode for found in leaving.values() for inode in found})
        yield


def _first_place(leaving: Iterable[int], count: int, new: int) -> int | None:
    """Where the new process's sockets begin: who started first listened first. None where they are in between, as
    after several interrupted changes."""
    since = _started(new)
    later = [_started(pid) > since for pid in leaving]
    if all(later):
        return 0
    return None if any(later) else count


def _direct(port: int, spares: ExitStack, count: int, program: Sequence[Instruction]) -> bool:
    """Whether the kernel has taken the program. It is withdrawn, and the spare sockets close, with `spares`."""
    attached = False
    try:
        for _ in range(count):
            spare = spares.enter_context(_spare(port))
            if not attached:
                _attach(spare, ATTACH_REUSEPORT_CBPF, program)
                spares.callback(spare.setsockopt, socket.SOL_SOCKET, DETACH_REUSEPORT_BPF, 0)
                attached = True
    except OSError:
        return attached
    return True


def _one_of(first: int, count: int) -> Sequence[Instruction]:
    """Returns one of the places from `first` on, at random."""
    return ((LOAD, RANDOM), (MODULO, count), (ADD, first), (RETURN_A, 0))


def _spare(port: int) -> socket.socket:
    """A socket in the group of `port` that drops every packet."""
    spare = socket.socket()
    try:
        spare.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        spare.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        spare.bind(("127.0.0.1", port))
        _attach(spare, ATTACH_FILTER, [(RETURN, 0)])
        spare.listen(1)
    except OSError:
        spare.close()
        raise
    return spare


def _attach(target: socket.socket, option: int, program: Sequence[Instruction]) -> None:
    """`struct sock_fprog`: the number of instructions and their address."""
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", do, 0, 0, operand) for do, operand in program))
    target.setsockopt(socket.SOL_SOCKET, option, struct.pack("HL", len(program), ctypes.addressof(code)))


def _listening(port: int, pid: int) -> set[int]:
    """Inodes of the sockets with which the process listens on `port` of 127.0.0.1."""
    try:
        owned = ports.sockets(pid)
    except OSError:  # it has ended
        return set()
    return {listener.inode for listener in ports.listeners(port) if listener.loopback} & owned


def _started(pid: int) -> int:
    """When the process started, in ticks of the kernel's clock; 0 when it has ended meanwhile."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(after_name[19])


def _wait_until_accepted(port: int, leaving: set[int]) -> None:
    """Until nothing waits at the old sockets any more."""
    end = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < end:
        if not ports.arriving(port) and not any(
            found.queue for found in ports.listeners(port) if found.inode in leaving
        ):
            return
        time.sleep(0.02)
