"""How long it takes to start: beside importing torch, and beside opening an empty napari window."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from typing import Any

from ._common import Result, Row, command, median
from ._processes import ROOT, Measured, Meter, display, measure

MODULE = "napari_instseg"
COMMANDS = {
    "python -c pass": ("-c", "pass"),
    f"import {MODULE}": ("-c", f"import {MODULE}"),
    "napari-instseg --help": ("-m", f"{MODULE}.cli", "--help"),
    "napari-instseg models": ("-m", f"{MODULE}.cli", "models"),
    "import torch": ("-c", "import torch"),
    "import napari": ("-c", "import napari"),
}
REFERENCE = "import torch"


def run(options: argparse.Namespace) -> list[Result]:
    """Measure the commands, then the dock."""
    # The first round is not counted: it reads the files, so that the disk does not count.
    rounds = (options.repeats or 5) + (not options.smoke)
    return [commands(rounds), dock(rounds, options.memory_limit)]


def commands(rounds: int) -> Result:
    """Each in a new interpreter."""
    rows = []
    for name, arguments in COMMANDS.items():
        try:
            times = [_start(arguments) for _ in range(rounds)]
        except subprocess.CalledProcessError:
            rows.append(Row(name, failure="does not run here"))
            continue
        rows.append(Row(name, median(times[1:] or times), reference=name == REFERENCE))
    return Result("a new interpreter", rows)


def _start(arguments: tuple[str, ...]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - started


def dock(rounds: int, memory_limit: float | None) -> Result:
    """Open an empty viewer, then the Segment dock in it."""
    found = _measure_dock(rounds, memory_limit)
    title = "opening the dock"
    if found.failure:
        return Result(title, [Row("Segment", failure=found.failure)])
    extras = found.extras
    note = "torch was imported" if extras["torch"] else "torch is not imported"
    return Result(
        title,
        [
            Row("an empty napari window", extras["window"], reference=True),
            Row("the Segment dock in it", extras["dock"], notes=note),
        ],
    )


def _measure_dock(rounds: int, memory_limit: float | None) -> Measured:
    wrapper, failure = display()
    if failure:
        return Measured(failure=failure)
    runs = [measure(open_dock, wrapper=wrapper, memory_limit=memory_limit) for _ in range(rounds)]
    failed = next((r for r in runs if r.failure), None)
    if failed is not None:
        return failed
    extras = {key: median([r.extras[key] for r in runs[1:] or runs]) for key in ("window", "dock")}
    return Measured(extras={**extras, "torch": any(r.extras["torch"] for r in runs)})


def open_dock(meter: Meter) -> dict[str, Any]:
    """Both in one process; imports of napari count for the window."""
    with meter.work():
        import napari
        from qtpy.QtWidgets import QApplication

        viewer = napari.Viewer()
        QApplication.processEvents()
    with meter.work():
        viewer.window.add_plugin_dock_widget("napari-instseg", "Segment")
        QApplication.processEvents()
    window, opened = meter.seconds
    extras = {"window": window, "dock": opened, "torch": "torch" in sys.modules}
    viewer.close()
    return extras


if __name__ == "__main__":
    command(run, __doc__)
