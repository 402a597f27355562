"""Contenders in processes of their own: time and memory."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import psutil

ROOT = Path(__file__).resolve().parents[1]
MIB = 1 << 20


@dataclass(slots=True)
class Meter:
    """Takes the time and the memory of what a contender does."""

    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    before: float = 0.0

    def start(self) -> None:
        """Count as memory what comes from here on; if not called, from the first `work` on."""
        reset_peak()
        self.before = psutil.Process().memory_info().rss / MIB

    @contextmanager
    def work(self) -> Iterator[None]:
        """Measure a block."""
        if not self.before:
            self.start()
        start, cpu_start = time.perf_counter(), time.process_time()
        yield
        self.seconds.append(time.perf_counter() - start)
        self.cpu_seconds.append(time.process_time() - cpu_start)


def in_turns(
    contenders: Mapping[str, Callable[[], Any]], repeats: int
) -> tuple[dict[str, dict[str, list[float]]], dict[str, Any]]:
    """Let contenders take turns in one process; who goes first changes every round.

    Returns
    -------
    times : dict
        "seconds" and "cpu_seconds" of each, round by round, after one that is not counted.
    answers : dict
        The last of each.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    cpu_seconds: dict[str, list[float]] = {name: [] for name in contenders}
    answers = {name: contender() for name, contender in contenders.items()}
    for number in range(repeats):
        for name in sorted(contenders, reverse=number % 2 == 0):
            answers[name] = None
            wall, cpu = time.perf_counter(), time.process_time()
            answers[name] = contenders[name]()
            seconds[name].append(time.perf_counter() - wall)
            cpu_seconds[name].append(time.process_time() - cpu)
    return {"seconds": seconds, "cpu_seconds": cpu_seconds}, answers


@dataclass(frozen=True, slots=True)
class Measured:
    """What a process has found out.

    Parameters
    ----------
    seconds, cpu_seconds : float
        Medians: by the clock, and of all processor cores together.
    memory : float
        Peak resident memory beyond what was loaded before, MiB.
    extras : dict
        What the contender returned.
    failure : str
        Why there is nothing; "" if there is.
    """

    seconds: float = float("nan")
    cpu_seconds: float = float("nan")
    memory: float = float("nan")
    extras: dict[str, Any] = field(default_factory=dict)
    failure: str = ""


#: Called with a `Meter` and options that fit JSON; may return values that do.
Contender: TypeAlias = Callable[..., dict[str, Any] | None]


def display() -> tuple[tuple[str, ...], str]:
    """What a process with a window is started through, and why there can be none, or ""."""
    if importlib.util.find_spec("napari") is None:
        return (), "napari is not installed"
    if sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ):
        if shutil.which("xvfb-run") is None:
            return (), "no display, and no xvfb-run"
        return ("xvfb-run", "--auto-servernum"), ""
    return (), ""


def measure(
    contender: Contender,
    *,
    python: str = sys.executable,
    wrapper: Sequence[str] = (),
    memory_limit: float | None = None,
    **options: Any,
) -> Measured:
    """Run a contender in a process of its own, and stop it at a limit of memory.

    Parameters
    ----------
    contender : Contender
        A function of a module of this package.
    python : str
        The interpreter.
    wrapper : sequence of str
        A command that starts the interpreter, such as xvfb-run.
    memory_limit : float, optional
        MiB; None allows four fifths of what is free.
    """
    limit = memory_limit or psutil.virtual_memory().available / MIB * 0.8
    module = contender.__module__
    if module == "__main__":
        module = f"benchmarks.{Path(sys.argv[0]).stem}"
    command = [*wrapper, python, "-m", "benchmarks._child", module, contender.__name__]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(
            [*command, json.dumps(options)], cwd=ROOT, stdout=out, stderr=err, text=True
        )
        stopped = _watch(process, limit)
        out.seek(0)
        err.seek(0)
        lines, errors = out.read().splitlines(), err.read().splitlines()
    if stopped:
        return Measured(memory=limit, failure=f"stopped at {limit / 1024:.1f} GiB")
    try:
        # What is said on the way out (a viewer's end can be noisy) does not matter.
        found = json.loads(lines[-1])
    except (IndexError, json.JSONDecodeError):
        return Measured(failure=errors[-1] if errors else f"exit status {process.returncode}")
    return Measured(found["seconds"], found["cpu_seconds"], found["memory"], found["extras"])


def _watch(process: subprocess.Popen[str], limit: float) -> bool:
    """Wait for the end; whether it had to be brought about."""
    while process.poll() is None:
        try:
            resident = psutil.Process(process.pid).memory_info().rss / MIB
        except psutil.NoSuchProcess:
            resident = 0
        if resident > limit:
            process.kill()
            process.wait()
            return True
        time.sleep(0.05)
    return False


def missing(*modules: str, python: str = sys.executable) -> str:
    """Say which modules an interpreter has not; "" if it has them all."""
    code = (
        "import importlib.util, sys; "
        "print(*[name for name in sys.argv[1:] if not importlib.util.find_spec(name)])"
    )
    command = [python, "-c", code, *modules]
    found = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    absent = found.stdout.split()
    return f"not installed: {', '.join(absent)}" if absent else ""


def peak_memory() -> float:
    """Largest resident memory of this process since the start or `reset_peak`, MiB."""
    status = Path("/proc/self/status")
    if status.is_file():
        # getrusage would count what the parent had when it started this process.
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    if sys.platform == "win32":
        return float(psutil.Process().memory_info().peak_wset / MIB)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MIB


def reset_peak() -> None:
    """Forget earlier peaks, where the system can (Linux)."""
    reset = Path("/proc/self/clear_refs")
    if reset.exists():
        reset.write_text("5")
