"""A process that outlives its parent for the length of a clean-up.

A parent killed with SIGKILL ends nothing. Asking the kernel to signal the children (PR_SET_PDEATHSIG)
reaches only the direct ones, and orphans theirs before anybody has listed them. So one small process waits
for the end of a pipe that only the parent holds open, and then ends every family in the roster.
"""

import signal
import sys
from pathlib import Path

RELEASE = b"release"


def main() -> None:
    """Wait for the parent's word or its end: `python -m demo.processes.guardian ROSTER`."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # The one thing that ends it is the pipe.
    if sys.stdin.buffer.read() != RELEASE:
        _end_all(Path(sys.argv[1]))


def _end_all(roster: Path) -> None:
    from demo.processes.supervisor import end_recorded  # noqa: PLC0415 - needed only when the parent was killed

    end_recorded(roster)


if __name__ == "__main__":
    main()
