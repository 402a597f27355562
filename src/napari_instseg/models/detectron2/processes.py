"""Run a command, hand on its lines as they come, and end it with all it started."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence

#: Seconds between two occasions to cancel.
TICK = 0.2
#: Seconds for a command that must not be interrupted any more.
PATIENCE = 120


class Failed(Exception):  # noqa: N818
    """A command that ended with an error.

    Parameters
    ----------
    status : int
    lines : list of str
        All that it said.
    """

    def __init__(self, status: int, lines: list[str]) -> None:
        super().__init__(f"exit status {status}")
        self.status = status
        self.lines = lines


def follow(
    command: Sequence[str],
    report: Callable[[str], None],
    *,
    env: dict[str, str],
    settled: tuple[str, ...] = (),
) -> list[str]:
    """Run a command to its end.

    Parameters
    ----------
    command : sequence of str
    report : callable
        Called with each line, and with "" every `TICK` seconds of silence; what it raises ends
        the command and all it started.
    env : dict
        All environment variables.
    settled : tuple of str
        After a line that starts with one of these, the command is left to end by itself.

    Returns
    -------
    list of str
        What it said, on either stream.

    Raises
    ------
    Failed
        If its exit status is not 0.
    """
    # A group of its own: Ctrl-C is for us to pass on, and the group can be ended as a whole.
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=env,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=os.name != "nt",
    )
    coming: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(process, coming), daemon=True).start()
    lines: list[str] = []
    late = False
    try:
        while True:
            try:
                line = coming.get(timeout=TICK)
            except queue.Empty:
                line = ""
            if line is None:
                break
            if line:
                lines.append(line)
            late = late or line.startswith(settled or "\0")
            report(line)
        status = process.wait(PATIENCE)
    finally:
        _end(process, wait=late)
    if status:
        raise Failed(status, lines)
    return lines


def _read(process: subprocess.Popen[str], coming: queue.SimpleQueue[str | None]) -> None:
    if process.stdout is not None:
        with process.stdout as stream:
            for line in stream:
                coming.put(line.rstrip())
    coming.put(None)


def _end(process: subprocess.Popen[str], *, wait: bool) -> None:
    """End a process and what it started, if it still runs."""
    if wait:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
    if process.poll() is not None:
        return
    if os.name == "nt":
        subprocess.run(
            ["taskkill", "/F", "/T", "/PID", str(process.pid)], capture_output=True, check=False
        )
    else:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
