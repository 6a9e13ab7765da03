"""A stack's outputs: read from the engine, and told to a person."""

import json
import shlex
from collections.abc import Mapping
from typing import Any

from infra.tasks.engine import TaskError, pulumi
from infra.tasks.session import Session


def read(session: Session, stack: str, *, secrets: bool) -> dict[str, Any]:
    """The outputs as JSON values; secrets as `[secret]` unless asked for."""
    flags = ["--show-secrets"] if secrets else []
    done = pulumi(session, "stack", "output", "--stack", stack, "--json", *flags, capture=True)
    if done.returncode:
        raise TaskError(f"no outputs of stack {stack}: {done.stderr.strip()}\nRun `make up STACK={stack}` first.")
    values: dict[str, Any] = json.loads(done.stdout)
    return values


def table(outputs: Mapping[str, Any]) -> str:
    """URLs in columns, and a line to paste into a shell."""
    endpoints: dict[str, dict[str, str]] = outputs["endpoints"]
    rows = [("MODEL", "OPENAI BASE URL", "TGI / TEI URL")]
    rows += [(name, urls["openai"], urls["native"]) for name, urls in endpoints.items()]
    rows += [("", "", "")]
    rows += [(name, url, "") for name, url in outputs["dashboards"].items()]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    example = curl(outputs)
    return "\n" + "\n".join(lines) + (f"\n\nTry it:\n{example}\n" if example else "\n")


def curl(outputs: Mapping[str, Any]) -> str:
    """A streamed chat request, ready to paste; empty where no model chats."""
    name = outputs.get("example_model")
    if not name:
        return ""
    body = {
        "model": name,
        "messages": [{"role": "user", "content": "Call me Ishmael."}],
        "max_tokens": 40,
        "temperature": 0,
        "stream": True,
    }
    return (
        f"curl -N {outputs['endpoints'][name]['openai']}/chat/completions"
        f" -H {shlex.quote('Authorization: Bearer ' + outputs['api_key'])}"
        f" -H 'Content-Type: application/json' -d {shlex.quote(json.dumps(body))}"
    )
