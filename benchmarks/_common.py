"""What the benchmarks share: processes that are measured, rows of a table."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import psutil

ROOT = Path(__file__).resolve().parents[1]
MIB = 1 << 20
PACKAGES = (
    *("napari-instseg", "torch", "torchvision", "detectron2"),
    *("numpy", "napari", "sahi", "opencv-python"),
)


# -------------------------------------------------------------------------- measured processes


@dataclass(slots=True)
class Meter:
    """Takes the time and the memory of what a contender does."""

    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    before: float = 0.0

    @contextmanager
    def work(self) -> Iterator[None]:
        """Measure a block: what is loaded before the first one does not count as memory."""
        if not self.seconds:
            reset_peak()
            self.before = psutil.Process().memory_info().rss / MIB
        start, cpu_start = time.perf_counter(), time.process_time()
        yield
        self.seconds.append(time.perf_counter() - start)
        self.cpu_seconds.append(time.process_time() - cpu_start)


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


# ------------------------------------------------------------------------------------ the table


@dataclass(frozen=True, slots=True)
class Row:
    """One contender; ratios are to the row of its benchmark that is marked as reference."""

    contender: str
    seconds: float = float("nan")
    cpu_seconds: float = float("nan")
    memory: float = float("nan")
    notes: str = ""
    reference: bool = False
    failure: str = ""

    @classmethod
    def of(cls, contender: str, found: Measured, notes: str = "", reference: bool = False) -> Row:
        """A row of what a process has found out."""
        figures = found.seconds, found.cpu_seconds, found.memory
        return cls(contender, *figures, notes, reference, found.failure)


@dataclass(frozen=True, slots=True)
class Result:
    """A benchmark: what was done, its rows, and what to know about it."""

    title: str
    rows: list[Row]
    remarks: list[str] = field(default_factory=list)


def markdown(results: Sequence[Result]) -> str:
    """One table for all benchmarks, with remarks below."""
    lines = [
        "| Benchmark | Contender | Time | × time | CPU | × CPU | Memory | × memory | Notes |",
        "|---|---|--:|--:|--:|--:|--:|--:|---|",
    ]
    for result in results:
        reference = next((r for r in result.rows if r.reference), Row(""))
        for number, row in enumerate(result.rows):
            cells = (
                result.title if number == 0 else "",
                row.contender,
                _time(row.seconds),
                _ratio(row, row.seconds, reference.seconds),
                _time(row.cpu_seconds),
                _ratio(row, row.cpu_seconds, reference.cpu_seconds),
                _memory(row.memory),
                _ratio(row, row.memory, reference.memory),
                "; ".join(filter(None, (row.failure, row.notes))),
            )
            lines.append(f"| {' | '.join(cells)} |")
    remarks = [f"- {r.title}: {text}" for r in results for text in r.remarks]
    return "\n".join([*lines, "", *remarks])


def _time(seconds: float) -> str:
    if np.isnan(seconds):
        return ""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _memory(mib: float) -> str:
    if np.isnan(mib):
        return ""
    return f"{mib:.0f} MiB" if mib < 10_000 else f"{mib / 1024:.1f} GiB"


def _ratio(row: Row, value: float, reference: float) -> str:
    if row.reference:
        return "1" if not np.isnan(value) else ""
    if np.isnan(value) or not reference > 0:
        return ""
    ratio = value / reference
    text = f"{ratio:.3f}" if 0.5 < ratio < 2 else f"{ratio:.3g}" if ratio < 100 else f"{ratio:.0f}"
    return f"> {text}" if row.failure else text


def heading() -> str:
    """Date, machine and versions."""
    versions = []
    for name in PACKAGES:
        try:
            versions.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    memory = psutil.virtual_memory().total / 1024**3
    threads = os.environ.get("OMP_NUM_THREADS", "default")
    lines = [
        f"Measured on {datetime.now(UTC):%Y-%m-%d}: {_cpu()}, {os.cpu_count()} cores, "
        f"{memory:.0f} GiB; {platform.system()}; OMP_NUM_THREADS {threads}.",
        f"Python {platform.python_version()}, {', '.join(versions)}.",
    ]
    return "\n".join(lines)


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


# ---------------------------------------------------------------------------------- the command


def options_parser(description: str | None) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--smoke", action="store_true", help="tiny sizes: only whether it runs")
    parser.add_argument("--size", type=int, help="edge of the picture, px")
    parser.add_argument("--tile-size", type=int, default=1024)
    parser.add_argument("--overlap", type=int, default=128)
    parser.add_argument("--repeats", type=int, help="the median is taken")
    parser.add_argument("--device", default="cpu", help="where models run")
    parser.add_argument(
        "--memory-limit", type=float, help="stop a contender there, MiB (default: 80 %% of free)"
    )
    parser.add_argument(
        "--sahi-python",
        default=sys.executable,
        help="an interpreter with SAHI (default: this one)",
    )
    parser.add_argument("--output", type=Path, help="write the Markdown there, too")
    return parser


def parse(description: str | None, arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the options; --smoke makes everything small."""
    options = options_parser(description).parse_args(arguments)
    if options.smoke:
        options.size = options.size or 384
        options.repeats = options.repeats or 1
        options.tile_size, options.overlap = min(options.tile_size, 256), min(options.overlap, 64)
    return options


def command(
    run: Callable[[argparse.Namespace], Result | list[Result]], description: str | None
) -> None:
    """Run one benchmark from the command line."""
    options = parse(description)
    found = run(options)
    show(found if isinstance(found, list) else [found], options.output)


def show(results: Sequence[Result], output: Path | None) -> None:
    """Print the table; write it, if wanted."""
    text = f"{heading()}\n\n{markdown(results)}\n"
    print(text)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text, "utf-8")


def median(values: Sequence[float]) -> float:
    """Median; NaN of nothing."""
    return statistics.median(values) if values else float("nan")
