"""One run's progress, in the dock and in napari's activity dock."""

from __future__ import annotations

from collections.abc import Callable

from napari.utils import cancelable_progress
from qtpy.QtWidgets import QProgressBar


class _ActivityBar(cancelable_progress):  # type: ignore[misc]
    """A bar of napari's activity dock whose Cancel button reaches the run."""

    def cancel(self) -> None:
        """Cancel the run; napari only sets a flag for loops over the bar itself."""
        super().cancel()
        if self.cancel_callback is not None:
            self.cancel_callback()


class RunProgress(QProgressBar):
    """A progress bar that mirrors itself in napari's activity dock; hidden while idle."""

    def __init__(self) -> None:
        super().__init__()
        self._activity: _ActivityBar | None = None
        self.setFormat("%p %")
        self.hide()

    def start(self, text: str, cancel: Callable[[], None]) -> None:
        """Show both bars, busy without a number.

        Parameters
        ----------
        text : str
            Names the run in the activity dock.
        cancel : callable
            Called by the activity dock's Cancel button.
        """
        self.setRange(0, 0)
        self.show()
        self._activity = _ActivityBar(desc=text, total=0, cancel_callback=cancel)

    def update_to(self, done: int, total: int) -> None:
        """Show ``done`` of ``total`` tiles or MB; a total of 0 is not known yet."""
        if not total:
            return
        self.setRange(0, total)
        self.setValue(done)
        bar = self._activity
        if bar is not None and bar.total != total:
            bar.total = total
        # Each change lets other events in: the run may have ended by now.
        if bar is not None and bar is self._activity:
            bar.update(done - bar.n)

    def stop(self) -> None:
        """Hide both bars."""
        self.hide()
        if self._activity is not None:
            self._activity.close()
            self._activity = None
