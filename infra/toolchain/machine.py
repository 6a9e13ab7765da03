"""The kind of machine this is."""

import platform
import sys

_MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}


def kind() -> str:
    """Operating system and processor as the lock file writes them: `linux-x86_64`, `linux-arm64`, `darwin-arm64` …"""
    machine = platform.machine().lower()
    return f"{sys.platform}-{_MACHINES.get(machine, machine)}"
