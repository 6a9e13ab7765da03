"""`python -m serving.gateway drain`: empties a running gateway before its process is stopped."""

import argparse
import sys

from serving.gateway.admin import Admin, AdminError
from serving.gateway.drain import drain


def main() -> int:
    """Run one command; 1 with the reason on standard error when it failed."""
    parser = argparse.ArgumentParser(prog="python -m serving.gateway", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    draining = commands.add_parser("drain", help="ask clients to go elsewhere and wait for open streams to end")
    draining.add_argument("--admin-port", type=int, required=True, metavar="PORT")
    draining.add_argument("--seconds", type=float, required=True, metavar="S", help="longest wait")
    options = parser.parse_args()
    try:
        left = drain(Admin(options.admin_port), patience=options.seconds)
    except AdminError as error:
        print(f"gateway: {error}", file=sys.stderr)  # noqa: T201 - a command's message
        return 1
    if left:
        print(f"gateway: {left} streams were still open after {options.seconds:g} s", file=sys.stderr)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
