"""`python -m infra.settings show STACK` and `python -m infra.settings schema --check | --write`."""

import argparse
import sys
from pathlib import Path

from infra.settings.loader import load
from infra.settings.messages import SettingsError
from infra.settings.schema import SCHEMA, schema_text
from infra.settings.show import page

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: list[str] | None = None) -> int:
    """Runs a command; 0 if all is well, 1 if settings or schema are not, 2 for a wrong command line."""
    parser = argparse.ArgumentParser(prog="python -m infra.settings", description="The settings of a stack.")
    parser.add_argument("--root", type=Path, default=ROOT, help="folder that holds stacks/ (default: this repository)")
    commands = parser.add_subparsers(dest="command", required=True)
    show = commands.add_parser("show", help="print every setting of a stack with its origin; secrets are hidden")
    show.add_argument("stack", help="such as local")
    write = commands.add_parser("schema", help=f"the JSON Schema for editors, {SCHEMA}")
    action = write.add_mutually_exclusive_group(required=True)
    action.add_argument("--check", action="store_true", help="fail if the file is not what the settings say")
    action.add_argument("--write", action="store_true", help="write the file anew")
    options = parser.parse_args(arguments)
    if options.command == "show":
        return _show(options.stack, options.root)
    return _schema(options.root / SCHEMA, write=options.write)


def _show(stack: str, root: Path) -> int:
    try:
        settings = load(stack, root)
    except SettingsError as error:
        count = len(error.errors)
        sys.stderr.write(f"{error}\n{count} problem{'s' if count > 1 else ''} in the settings of stack {stack}.\n")
        return 1
    sys.stdout.write(page(settings))
    return 0


def _schema(file: Path, *, write: bool) -> int:
    text = schema_text()
    if write:
        file.write_text(text, encoding="utf-8")
        return 0
    if file.is_file() and file.read_text(encoding="utf-8") == text:
        return 0
    sys.stderr.write(f"{SCHEMA}: is not what the settings say; run: python -m infra.settings schema --write\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
