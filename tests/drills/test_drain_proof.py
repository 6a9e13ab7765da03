"""A short run of `make drain-proof`."""

from pathlib import Path

from tests.drills.drain_proof import HEAD, SHORT, prove


def test_servers_and_gateway_roll_without_a_loss(tmp_path: Path) -> None:
    rows = prove(tmp_path, SHORT, 10, print)
    losses = [loss for row in rows for loss in row.losses()]
    assert not losses, "\n".join([HEAD, *(row.line() for row in rows), *losses])
    assert all(row.streams and row.knocks for row in rows)
