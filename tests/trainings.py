"""What tests of trainings share: a run that is stopped, and what its log says."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

from napari_instseg.training.loop import Step


def stop_after(count: int) -> Callable[[Step], None]:
    """Report as Ctrl-C does after some steps."""

    def report(step: Step) -> None:
        if step.iteration == count:
            raise KeyboardInterrupt

    return report


def rows(output: Path) -> list[list[str]]:
    """All cells of the log of a run."""
    with (output / "log.csv").open(newline="") as file:
        return list(csv.reader(file))
