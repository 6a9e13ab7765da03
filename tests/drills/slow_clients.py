"""Clients that send or read slowly, in a process of their own so that they take no time from the well-behaved ones.

`python -m tests.drills.slow_clients senders|readers PORT`; the key comes on standard input. Half of the senders never
finish their headers, half never their body, a byte each half second; readers ask for a long stream and read nothing of
it. Prints "on" when all have begun, then the statuses that the senders got as a JSON list once each has one, and ends
when standard input does.
"""

import asyncio
import json
import socket
import sys

SLOW = 40
"""Senders of each kind."""
READERS = 10
BULK = "bulk"
"""Model whose streams nobody reads."""
TOKENS = 300_000
"""Of such a stream: 15 MB."""
FILL_SECONDS = 2.0
"""Until the readers' buffers are full."""
PATIENCE_SECONDS = 20
STEP_SECONDS = 0.5


async def main(kind: str, port: int, key: str) -> None:
    """Attacks until standard input ends."""
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n".encode()
    readers: list[socket.socket] = []
    slow: list[asyncio.Future[int]] = []
    if kind == "readers":
        body = json.dumps({"model": BULK, "messages": [], "stream": True, "fake": {"tokens": TOKENS}}).encode()
        whole = head + b"content-length: %d\r\n\r\n" % len(body) + body
        readers = [_reader(port, whole) for _ in range(READERS)]
        await asyncio.sleep(FILL_SECONDS)
    else:
        unended = (b"POST /v1/chat/completions HTTP/1.1\r\nx: ", b"y"), (head + b"content-length: 1000\r\n\r\n{", b" ")
        slow = [asyncio.ensure_future(_trickle(port, *start)) for start in unended * SLOW]
    print("on", flush=True)  # noqa: T201 - a program's output
    print(json.dumps(await asyncio.gather(*slow)), flush=True)  # noqa: T201
    await asyncio.to_thread(sys.stdin.read)
    for reader in readers:
        reader.close()


async def _trickle(port: int, start: bytes, more: bytes) -> int:
    """The status that came before the patience ran out."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = asyncio.ensure_future(reader.readline())
    async with asyncio.timeout(PATIENCE_SECONDS):
        writer.write(start)
        while not (await asyncio.wait([answer], timeout=STEP_SECONDS))[0]:
            writer.write(more)
    writer.close()
    return int(answer.result().split(b" ", 2)[1])


def _reader(port: int, request: bytes) -> socket.socket:
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader.connect(("127.0.0.1", port))
    reader.sendall(request)
    return reader


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.stdin.readline().strip()))
