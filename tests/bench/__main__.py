"""`python -m tests.bench SUBJECT …`: measurements on real parts. The subjects are the folders with a `cli.py`."""

import importlib
import sys
from pathlib import Path


def main(arguments: list[str]) -> int:
    """Hands the rest of the command line to the subject; returns its exit status."""
    subjects = sorted(path.parent.name for path in Path(__file__).parent.glob("*/cli.py"))
    if not arguments or arguments[0] not in subjects:
        sys.stderr.write(f"usage: python -m tests.bench {{{','.join(subjects)}}} …\n")
        return 2
    status: int = importlib.import_module(f"tests.bench.{arguments[0]}.cli").main(arguments[1:])
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
