"""Run as a folder (`python language_host MODE ARGS…`) by the executables beside it; see the package."""

import sys
from pathlib import Path

# Run as a folder, Python looks for modules in it first; a user's module could then be hidden by one of these.
sys.path[0] = str(Path(__file__).resolve().parents[3])

if __name__ == "__main__":
    from infra.toolchain.language_host import main

    sys.exit(main.main(sys.argv[1:]))
