"""What the benchmarks share: rows of a table, and the command line."""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import psutil

from ._processes import Measured

PACKAGES = (
    *("napari-instseg", "torch", "torchvision", "detectron2", "segment-anything"),
    *("mobilesam-mirror", "numpy", "napari", "sahi", "opencv-python", "stardist", "cellpose"),
    *("laptrack", "py-ctcmetrics", "faster-coco-eval", "pycocotools"),
)


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


def rows_of_turns(times: Mapping[str, Mapping[str, Sequence[float]]], reference: str) -> list[Row]:
    """A row for each contender of `in_turns`."""
    return [
        Row(name, median(wall), median(times["cpu_seconds"][name]), reference=name == reference)
        for name, wall in times["seconds"].items()
    ]


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
    parser.add_argument("--pictures", type=int, help="real fields to segment everything in")
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
