"""Log lines as JSON on stdout. Never a prompt, an answer or a key: callers pass counts and durations."""

import json
import sys
from datetime import UTC, datetime


def log(event: str, *, level: str = "INFO", **fields: object) -> None:
    """Write one line: time, level, event, then `fields` without those that are None."""
    time = datetime.now(UTC).isoformat(timespec="milliseconds")
    known = {name: value for name, value in fields.items() if value is not None}
    line = json.dumps({"time": time, "level": level, "event": event, **known}, separators=(",", ":"))
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
