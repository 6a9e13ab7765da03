"""A stand-in for a cluster's name server: answers A queries from a table, over UDP on 127.0.0.1.

It knows one record type, no compression, no TCP, no caching and no recursion; an unknown name is NXDOMAIN.
"""

import socket
import struct
import threading


class FakeDns:
    """A name server in a thread of its own."""

    def __init__(self) -> None:
        self.records: dict[str, list[str]] = {}
        """Name (no final dot) to addresses; an empty list is an answer without addresses."""
        self.asked: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.1)
        self.port: int = self._socket.getsockname()[1]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._stop.is_set():
            try:
                query, client = self._socket.recvfrom(4096)
            except TimeoutError:
                continue
            self._socket.sendto(self._answer(query), client)

    def _answer(self, query: bytes) -> bytes:
        labels, at = [], 12
        while length := query[at]:
            labels.append(query[at + 1 : at + 1 + length].decode())
            at += 1 + length
        name = ".".join(labels).lower()
        (kind,) = struct.unpack(">H", query[at + 1 : at + 3])
        question = query[12 : at + 5]
        self.asked.append(name)
        known = name in self.records
        addresses = self.records.get(name, []) if kind == 1 else []
        header = query[:2] + struct.pack(">HHHHH", 0x8180 | (0 if known else 3), 1, len(addresses), 0, 0)
        record = b"".join(
            b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 1, 4) + socket.inet_aton(address) for address in addresses
        )
        return header + question + record

    def stop(self) -> None:
        """Answers no more."""
        self._stop.set()
        self._thread.join(5)
        self._socket.close()
