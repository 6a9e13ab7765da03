"""Numbers as people read them. Bytes are decimal (GB = 1e9) except where a platform counts in MiB."""

MIB = 2**20
GIB = 2**30
GB = 10**9


def size(count: float) -> str:
    """Return bytes in decimal units, e.g. `16.1 GB`."""
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(count) >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count:.0f} B"


def tokens(count: float) -> str:
    """Return a token count, e.g. `42.0k`."""
    return f"{count / 1000:.1f}k" if abs(count) >= 10_000 else f"{count:.0f}"


def dollars(amount: float) -> str:
    """Return dollars with as many digits as the amount deserves."""
    if amount and abs(amount) < 1:
        return f"${amount:.3f}"
    return f"${amount:,.2f}" if abs(amount) < 1000 else f"${amount:,.0f}"


def duration(seconds: float) -> str:
    """Return a duration, e.g. `85 ms`, `4.2 s`, `7 min`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def rate(per_second: float) -> str:
    """Return a rate with three digits, never in powers of ten."""
    return f"{per_second:,.0f}" if per_second >= 100 else f"{per_second:.3g}"
