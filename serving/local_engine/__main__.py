"""`python -m serving.local_engine`: see options.py for the flags and lifecycle.py for the exit codes."""

import os
import sys

from serving.local_engine.lifecycle import run
from serving.local_engine.options import parse

if __name__ == "__main__":
    code = run(parse())
    sys.stdout.flush()
    sys.stderr.flush()
    # Without destructors: CTranslate2's threads can abort an interpreter that winds down (exit code 134).
    os._exit(code)
