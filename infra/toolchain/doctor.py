"""The table of parts: what is there and where from, or how it can be had."""

from collections.abc import Sequence

from infra.toolchain.toolchain import HOSTS, Found, Missing, Toolchain

_HEADINGS = ("part", "version", "where from", "checked against", "path")


def report(toolchain: Toolchain) -> tuple[str, bool]:
    """The table as text, and whether every part is there or can be got on this machine."""
    states = [toolchain.find(name) for name in toolchain.names()]
    rows = [_row(state) for state in states]
    if any(isinstance(state, Found) and state.name == "pulumi" and state.way == "go" for state in states):
        rows.append(("pulumi-language-python", "-", "this checkout, for a source-built engine", "-", str(HOSTS)))
    text = _table([_HEADINGS, *rows])
    for state in states:
        if isinstance(state, Missing):
            text += "\n" + _explain(state)
    free = toolchain.cache.free_bytes() / 1e9
    text += f"\nCache: {toolchain.cache.root} ({free:.0f} GB free there)\n"
    return text, all(isinstance(state, Found) or state.ways for state in states)


def _row(state: Found | Missing) -> tuple[str, ...]:
    if isinstance(state, Found):
        return (state.name, state.version, state.origin, state.checked, str(state.path))
    return (state.name, state.version, "MISSING", "-", "see below")


def _explain(state: Missing) -> str:
    lines = [f"{state.name} {state.version} is missing."]
    if state.ways:
        lines.append(f"  `python -m infra.toolchain ensure {state.name}` gets it by the first of these that works:")
        lines.extend(f"    - {way}" for way in state.ways)
    lines.extend(f"  not here: {reason}" for reason in state.blocked)
    if not state.ways:
        lines.extend(f"  way out: {advice}" for advice in state.advice)
    return "\n".join(lines) + "\n"


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]]) + "\n"
