"""The local platform: this machine."""

import re
from dataclasses import dataclass
from typing import Annotated, Any

from infra.settings.kinds import Bytes, Kind, fail
from infra.settings.messages import shown
from infra.settings.section import Section


@dataclass(frozen=True, slots=True)
class PortRange:
    """TCP ports from first to last, both included."""

    first: int
    last: int

    def __contains__(self, port: object) -> bool:
        return isinstance(port, int) and self.first <= port <= self.last

    def __len__(self) -> int:
        return self.last - self.first + 1

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


def _range(value: Any) -> PortRange:
    if isinstance(value, PortRange):
        return value
    found = re.fullmatch(r"([0-9]{1,6})-([0-9]{1,6})", value) if isinstance(value, str) else None
    if not found:
        fail(f"{shown(value)} is not a range of ports; write one such as 21000-21199")
    ports = PortRange(int(found[1]), int(found[2]))
    if ports.first > ports.last:
        fail(f"{shown(value)} runs backwards; write {ports.last}-{ports.first}")
    if ports.first < 1024 or ports.last > 65535:
        fail(f"{shown(value)} leaves the range of free ports; stay within 1024-65535")
    return ports


class Local(Section):
    """This machine."""

    ports: Annotated[PortRange, Kind(_range, {"type": "string", "pattern": "^[0-9]{4,5}-[0-9]{4,5}$"})] = PortRange(
        21000, 21199
    )
    """Ports of model servers and admin pages, on 127.0.0.1. Default: 21000-21199."""
    memory: Bytes | None = None
    """Most memory that all servers together may take, such as 4GiB. Default: what the machine has free."""
