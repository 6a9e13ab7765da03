"""Instructions per request in user space, counted by callgrind: the same to about 1 % on any machine under any load.

Only for gateways made of Envoy. What the kernel does is not in it, and instructions differ in time: cost.py has the
last word, this tells where to look. Much of Envoy's time is waiting for its own code, of which a request touches ten
times what the first cache holds; so misses of a simulated cache and branch predictor are told too.
"""

import http.client
import json
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.bench.gateway import native
from tests.bench.gateway.catalogue import Contender
from tests.bench.gateway.contender import KEY, MODEL, Running, Setting
from tests.bench.gateway.process import BenchError, Processes, free_ports

WARM, COUNTED = 300, 400
"""Requests."""
BACKENDS = 8
_CPU = ("--cache-sim=yes", "--branch-sim=yes", "--I1=32768,8,64", "--D1=32768,8,64", "--LL=1048576,8,64")
"""One core of a current server: its first caches, and its second in place of a last one."""
_LONGEST = 100
"""Characters of a function's name."""
_WORDS = "lorem ipsum dolor sit amet consectetur "


@dataclass(frozen=True, slots=True)
class Count:
    """Per request."""

    total: float
    """Instructions."""
    code_misses: float
    """Of the first cache for code."""
    mispredicted: float
    """Branches, direct and indirect."""
    module: dict[str, float]
    """Instructions of the picker's functions and of the calls that it makes into Envoy, with all that they call."""


def count(contender: Contender, size: int, folder: Path) -> Count:
    """Counts; takes some ten seconds. Raises BenchError when valgrind is not there."""
    if not shutil.which("valgrind"):
        raise BenchError("`valgrind` is not on PATH: install it (Debian: apt-get install valgrind)")
    shutil.rmtree(folder, ignore_errors=True)
    out = f"--callgrind-out-file={folder.absolute()}/calls.%p"
    under = ("valgrind", "--tool=callgrind", *_CPU, "--instr-atstart=no", out)
    with Processes(folder) as processes:
        backends = tuple(free_ports(BACKENDS))
        mock = processes.start("mock", [native.program("mock"), *map(str, backends)])
        mock.wait_port(backends[-1])
        gateway = contender.start(Setting(processes, backends, under=under))
        connection = http.client.HTTPConnection("127.0.0.1", gateway.ports[0], timeout=60)
        _ask(connection, size, WARM)
        _control(gateway, "--instr=on")
        _ask(connection, size, WARM // 6)
        _control(gateway, "--zero")
        _ask(connection, size, COUNTED)
        _control(gateway, "--dump")
        return _read(_dumped(folder))


def _control(gateway: Running, order: str) -> None:
    command = ["callgrind_control", order, str(gateway.processes[0].pid)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise BenchError(f"`{' '.join(command)}` failed: {result.stdout}{result.stderr}")


def _dumped(folder: Path, seconds: float = 20.0) -> Path:
    """The file of the dump, once it is whole."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for path in folder.glob("calls.*"):
            if "\ntotals: " in path.read_text(errors="replace"):
                return path
        time.sleep(0.2)
    raise BenchError(f"callgrind has written nothing whole into {folder} within {seconds:g} s")


def _ask(connection: http.client.HTTPConnection, size: int, times: int) -> None:
    """The same conversations as in chat.lua."""
    for turn in range(times):
        text = f"{turn % 256:08d} conversation number {turn % 256}. " + _WORDS * (size // len(_WORDS) + 1)
        body = {
            "model": MODEL,
            "stream": False,
            "max_tokens": 20,
            "messages": [
                {"role": "system", "content": "You are a helpful assistant."},
                {"role": "user", "content": text[: size - 170]},
            ],
        }
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
        connection.request("POST", "/v1/chat/completions", json.dumps(body, separators=(",", ":")), headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise BenchError(f"a request under callgrind was answered {answer.status}")


def _read(path: Path) -> Count:
    command = ["callgrind_annotate", "--inclusive=yes", "--threshold=100", str(path)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    module: dict[str, float] = {}
    for line in output.splitlines():
        number, _, rest = line.strip().partition(" (")
        if not number.replace(",", "").isdigit():
            continue
        instructions = int(number.replace(",", "")) / COUNTED
        if "dynamic_module" in rest or "picker::" in rest:
            name = rest.partition("???:")[2].rpartition(" [")[0]
            module[name.removeprefix("envoy_dynamic_module_")[:_LONGEST]] = instructions
    totals = _totals(path)
    return Count(totals["Ir"], totals["I1mr"], totals["Bcm"] + totals["Bim"], module)


def _totals(path: Path) -> dict[str, float]:
    """Callgrind's events by their names."""
    lines = dict(line.split(": ", 1) for line in path.read_text(errors="replace").splitlines() if ": " in line)
    return {name: int(n) / COUNTED for name, n in zip(lines["events"].split(), lines["totals"].split(), strict=True)}
