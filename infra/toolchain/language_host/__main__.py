"""Run as a folder (`python language_host MODE ARGS…`) by the executables beside it; see the package."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Run as a folder, Python looks for modules in it first, where these have no package.
sys.path[:] = [str(HERE.parents[2]), *(entry for entry in sys.path if Path(entry) != HERE)]

if __name__ == "__main__":
    from infra.toolchain.language_host import main

    sys.exit(main.main(sys.argv[1:]))
