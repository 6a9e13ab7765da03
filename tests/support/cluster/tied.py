"""`python tied.py PROGRAM ARGUMENT…`: becomes the program, which the kernel ends when the one that started it is gone.

A test run that is killed cannot stop its servers itself. Linux only; elsewhere the program runs untied.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, argv: list[str]) -> None:
    """Ties this process to `parent`, then becomes `argv`."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    # It may have gone before the tie was made.
    if os.getppid() == parent:
        os.execv(argv[0], argv)  # noqa: S606


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
