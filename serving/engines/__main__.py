"""`python -m serving.engines tgi vllm`: what changes between two engines, as tables in Markdown."""

import sys

from serving.engines.base import EngineError
from serving.engines.differences import tables

_ENGINES = 2


def main(arguments: list[str]) -> int:
    """Print the tables."""
    if len(arguments) != _ENGINES:
        sys.stderr.write("usage: python -m serving.engines ENGINE ENGINE\n")
        return 2
    try:
        sys.stdout.write(f"{tables(arguments[0], arguments[1])}\n")
    except EngineError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
