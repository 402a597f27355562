"""The Prompt dock: start a session, prompt with mouse and keys, accept objects."""

from __future__ import annotations

import napari.layers
import napari.viewer
from qtpy.QtCore import QEvent
from qtpy.QtGui import QCloseEvent, QHideEvent, QShowEvent
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

from ...models.entry import Report
from ...prompting import PromptSession
from ...prompting.propagation import Propagated
from ...segmenter import InstsegError
from ...snippets.recipe import recipe_command, recipe_python
from ..copying import CopyButton, Write, copy_as, recipe_text
from ..docks import is_taken_away, open_dock
from ..everything_widget import EverythingWidget
from ..fold import Fold
from ..form_rows import fill_dock, text_label
from ..holder import PrompterHolder
from ..links import RECIPE_KEY
from ..propagate.box import PropagateBox
from ..task_row import TaskRow, breakable, notify
from .ground import Ground
from .panel import KeyList, PromptPanel
from .running import Running
from .setup import SetupForm, Start, open_session
from .texts import object_text, state_text, warnings_text

#: The name that the menu entry gives to that dock.
EVERYTHING = "Segment everything (Instance Segmentation)"
COPY_TIP = (
    "What makes the accepted objects again, as text: lines of Python for a notebook or\n"
    "napari's console, or a command for a terminal"
)
NOTHING = "Nothing to copy yet: accept an object first."


class PromptWidget(QWidget):
    """Segments objects that one points at.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    models : PrompterHolder, optional
        Where the model is kept between sessions.
    """

    def __init__(
        self, napari_viewer: napari.viewer.Viewer, models: PrompterHolder | None = None
    ) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.models = models or PrompterHolder()
        self.running: Running | None = None
        self._reason = ""
        self._build()
        self._connect()
        self._show_state()

    # ---------------------------------------------------------- what `PropagateBox` asks for

    def session(self) -> PromptSession | None:
        """Return the running session."""
        return None if self.running is None else self.running.session

    def labels(self) -> napari.layers.Labels | None:
        """Return the layer that accepted objects are painted into."""
        return None if self.running is None else self.running.labels

    def ground(self) -> Ground | None:
        """Return the geometry of the image layer."""
        return None if self.running is None else self.running.ground

    # --------------------------------------------------------------------------------- the form

    def _build(self) -> None:
        self.setup = SetupForm(self.viewer)
        self.start_button = QPushButton("Start")
        self.copy_button = CopyButton(COPY_TIP)
        self.task = TaskRow()
        self.panel = PromptPanel(self.viewer)
        self.status, self.warnings = text_label(), text_label()
        self.propagate = PropagateBox(self.viewer, self)
        self.stack = Fold("Through the stack", self.propagate)
        self.everything_button = QPushButton("Segment everything…")
        self.everything_button.setToolTip("Open the dock that finds all objects at once")
        self.keys = KeyList()
        buttons = QWidget()
        line = QHBoxLayout(buttons)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(self.start_button, 1)
        line.addWidget(self.copy_button)
        form = (self.setup, buttons, self.task, self.panel)
        said = (self.status, self.warnings)
        fill_dock(self, (*form, *said, self.stack, self.everything_button, self.keys))

    def _connect(self) -> None:
        panel = self.panel
        self.start_button.clicked.connect(self._start_or_stop)
        self.everything_button.clicked.connect(self.show_everything)
        self.copy_button.python.connect(lambda: self._copy("Python", recipe_python))
        self.copy_button.command.connect(lambda: self._copy("a command", recipe_command))
        self.setup.target.currentIndexChanged.connect(lambda _: self._show_copying())
        self.task.ended.connect(self._show_state)
        self.setup.model.changed.connect(self._show_state)
        self.setup.more.free_button.clicked.connect(self._free_memory)
        self.propagate.accepted.connect(self._take_propagated)
        panel.tool_chosen.connect(self._choose_tool)
        panel.changed.connect(self._read_panel)
        panel.classes.chosen.connect(self._choose_class)
        panel.classes.edited.connect(self._name_classes)
        panel.accept_button.clicked.connect(lambda: self._do("accept"))
        panel.clear_button.clicked.connect(lambda: self._do("clear"))
        panel.new_button.clicked.connect(lambda: self._do("new_object"))
        self._events = (self.viewer.layers.events.inserted, self.viewer.layers.events.removed)
        for event in self._events:
            event.connect(self._show_sources)

    # ------------------------------------------------------------------------- start and stop

    def _start_or_stop(self) -> None:
        if self.running is not None:
            self.stop()
        elif self.task.worker is None:
            self.start()

    def start(self) -> None:
        """Open a session on what the form says, in a worker."""
        try:
            start = self.setup.start()
        except InstsegError as error:
            notify(error)
            return

        # napari remembers workers that have ended: what they hold should not be the image, the
        # model or this dock.
        needed = [(self.models, start)]

        def work(report: Report) -> PromptSession:
            return open_session(*needed.pop(), report)

        self.status.clear()
        title = f"prompting in {start.layer.name!r}"
        self.task.start(title, work, lambda session: self._begin(start, session), wait=False)
        self._show_state()

    def stop(self, why: str = "") -> None:
        """End the session; the accepted objects stay."""
        running, self.running = self.running, None
        if running is not None:
            running.end()
            self.status.setText(why)
        self._show_state()

    def show_everything(self) -> None:
        """Open the dock that finds all objects, on the same image."""
        dock = open_dock(
            self.viewer,
            EverythingWidget,
            EVERYTHING,
            lambda: EverythingWidget(self.viewer, self.models),
        )
        layer = self.setup.layer()
        if layer is not None:
            dock.form.layer_choice.choose(layer.unique_id)

    def _begin(self, start: Start, session: PromptSession) -> None:
        """The session is open: let the mouse prompt."""
        if start.layer not in self.viewer.layers:
            self.status.setText("The image layer is gone.")
            return
        ground = Ground(self.viewer, start.layer, start.image, start.level)
        target = self.setup.target_layer(ground)
        try:
            running = Running(self.viewer, self.panel, start, session, target, ground)
        except InstsegError as error:
            self._fail(error)
            return
        self.running = running
        self.setup.choose_target(running.labels)
        running.changed.connect(self._show_progress)
        running.painted.connect(self.propagate.refresh)
        running.over.connect(self.stop)
        running.failed.connect(self._fail)
        if self.isVisible():
            running.attach(self.window())
        self._show_state()

    def _free_memory(self) -> None:
        self.models.release()
        self._show_state()

    # --------------------------------------------------------------------------------- copying

    def _copy(self, what: str, write: Write) -> None:
        """Put what makes the accepted objects again on the clipboard."""
        running, labels = self.running, self._objects()
        if labels is None:
            return

        def text() -> str:
            if running is not None:
                running.write_recipe()
            return recipe_text(self.viewer, labels, write)

        copy_as(what, text, self.status)

    def _objects(self) -> napari.layers.Labels | None:
        """The layer of objects: of the session, or that would be gone on in."""
        return self.labels() or self.setup.chosen_target()

    def _show_copying(self) -> None:
        labels = self._objects()
        there = labels is not None and RECIPE_KEY in labels.metadata
        there = there or (self.running is not None and self.running.objects.count > 0)
        self.copy_button.allow(*(("" if there else NOTHING,) * 2))

    # ---------------------------------------------------------------------------- from the form

    def _do(self, action: str) -> None:
        if self.running is not None:
            getattr(self.running.prompting, action)()

    def _choose_tool(self, name: str) -> None:
        if self.running is not None:
            self.running.prompting.choose_tool(name)

    def _read_panel(self) -> None:
        if self.running is not None:
            self.running.read_panel()

    def _choose_class(self) -> None:
        if self.running is not None:
            self.running.choose_class()

    def _name_classes(self) -> None:
        if self.running is not None:
            self.running.name_classes()

    def _take_propagated(self, found: Propagated, number: int) -> None:
        if self.running is not None:
            self.running.take_propagated(found, number)

    # ------------------------------------------------------------------------------ what is said

    def _fail(self, error: Exception) -> None:
        self.status.setText("Failed: see the notification.")
        notify(error)

    def _show_sources(self, event: object = None) -> None:
        self.panel.show_sources(self.labels())

    def _show_progress(self) -> None:
        """Say what is under way, what can be done, and what the user should know."""
        running, session = self.running, self.session()
        self._show_copying()
        # A write to the disk may fail at any time.
        self.warnings.setText("" if session is None else warnings_text(session.warnings))
        self.warnings.setVisible(bool(self.warnings.text()))
        if running is None:
            self.panel.say("", accept=False, clear=False)
            return
        prompting = running.prompting
        under_way = bool(len(prompting.drafts) or prompting.tool.corners)
        self.panel.say(object_text(prompting), accept=under_way, clear=under_way)
        self.status.setText(state_text(prompting, running.works))

    def _show_state(self) -> None:
        """Offer what can be done now: start, stop, free memory."""
        running, opening = self.running is not None, self.task.worker is not None
        missing = self.setup.entry().missing()
        self.start_button.setText("Stop" if running else "Start")
        self.start_button.setEnabled(running or not (opening or missing))
        self.setup.setEnabled(not (running or opening))
        self.setup.more.allow_freeing(bool(self.models.name) and not (running or opening))
        self.panel.setEnabled(running)
        session = self.session()
        self.stack.setVisible(session is not None and bool(session.image.plane_axes))
        self.propagate.refresh()
        reason = f"This model {missing}" if missing else ""
        if reason != self._reason:
            self._reason = reason
            self.status.setText(breakable(reason))
        self._show_sources()
        self._show_progress()

    # ---------------------------------------------------------------------------- comes and goes

    def _stop_all(self) -> None:
        """End the session, or the start of one."""
        self.task.cancel()
        self.stop()

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802
        """Take mouse and keys again."""
        super().showEvent(event)
        if self.running is not None:
            self.running.attach(self.window())

    def hideEvent(self, event: QHideEvent | None) -> None:  # noqa: N802
        """Give mouse and keys back while nobody sees what they do."""
        super().hideEvent(event)
        # A minimised window is not hidden by us.
        if self.running is not None and (event is None or not event.spontaneous()):
            self.running.rest()

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802
        """Stop when the dock is taken away."""
        super().changeEvent(event)
        if is_taken_away(self, event):
            self._stop_all()

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802
        """Stop, and let go of the viewer."""
        self._stop_all()
        self.propagate.close()
        for emitter in self._events:
            emitter.disconnect(self._show_sources)
        self.setup.disconnect_viewer()
        super().closeEvent(event)
