"""From the mouse and the keys to prompts, and to what is accepted."""

from __future__ import annotations

from collections.abc import Callable

import napari.layers
import napari.viewer
from qtpy.QtCore import QObject, Signal

from ...instances import Mask
from ...promptable import OFF
from ...prompting import PromptSession
from ...prompting.requests import drawn
from ...segmenter import Category, InstsegError
from .asking import Asking
from .classes import FIRST
from .current import CurrentObject
from .drafts import Point, Step
from .drawing import Shade
from .ground import Ground, Spot
from .masks import combined
from .mouse import CLICK, Position
from .objects import Objects
from .overlay import Overlay, Scene
from .tools import ClickTool, LabelsTool, LassoTool, PolygonTool, ScribbleTool, Tool


class Prompting(QObject):
    """One session at work on one image layer.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    session : PromptSession
    ground : Ground
    objects : Objects
    """

    #: What is under way is another, or has another answer.
    changed = Signal()
    #: Objects were painted.
    accepted = Signal()
    #: An object was taken up again; its class, 0 if that is not known.
    picked = Signal(int)
    failed = Signal(object)

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        session: PromptSession,
        ground: Ground,
        objects: Objects,
    ) -> None:
        super().__init__()
        self._viewer, self.ground, self.objects = viewer, ground, objects
        self.asking = Asking(viewer, session, ground)
        self.asking.changed.connect(self._refresh)
        self.asking.failed.connect(self.failed)
        self.drafts = self.asking.drafts
        self.overlay = Overlay(viewer, ground)
        self.current = CurrentObject(objects)
        lasso, polygon = (t(ground.plane_shape, self._combine) for t in (LassoTool, PolygonTool))
        tools = (ClickTool(), ScribbleTool(), lasso, polygon, LabelsTool(self._pick))
        self.tools: dict[str, Tool] = {tool.name: tool for tool in tools}
        self.tool = self.tools["click"]
        self.category: Category = FIRST
        #: Paint over other objects, too; show what a click would give.
        self.overwrite, self.previews = False, True
        #: Where `LabelsTool` takes objects from; None: from the accepted ones.
        self.source: napari.layers.Labels | None = None
        self._mouse: Spot | None = None
        self._line: tuple[Point, ...] = ()
        self._accept_soon = False

    def end(self) -> None:
        """Let go of everything; the accepted objects stay."""
        self.asking.end()
        self.current.disconnect()
        self.overlay.remove()

    # ------------------------------------------------------------------------------- the mouse

    def listens(self) -> bool:
        """Whether the mouse is for prompts now."""
        active = self._viewer.layers.selection.active
        ours = active is self.ground.layer or active is self.objects.layer
        return ours and str(active.mode) == "pan_zoom" and self.ground.shown()

    def hover(self, at: Position) -> None:
        """Show what a click would give here."""
        spot = self._mouse = self.ground.spot(at)
        if len(self.drafts) or self.tool.corners or not (self.previews and self.tool.hovers):
            return
        if spot is not None:
            self.asking.try_out(spot.plane, Step(((spot.row, spot.col),)))
        else:
            self.leave()

    def leave(self) -> None:
        """The mouse left the image."""
        self._mouse = None
        self.asking.drop_hover()
        self._refresh()

    def click(self, at: Position, label: int, *, another: bool) -> None:
        """Say more of the object, or begin one."""
        spot = self.ground.spot(at)
        if spot is None:
            return
        if isinstance(self.tool, LabelsTool) and self.source in (None, self.objects.layer):
            self._edit(spot)
            return
        near = CLICK / self.ground.pixel_on_screen()
        self._mouse = spot
        self._take(spot.plane, lambda: self.tool.click((spot.row, spot.col), label, near), another)

    def double_click(self, at: Position, label: int, *, another: bool) -> None:
        """Close a polygon; else it is the second of two clicks."""
        if self.tool.corners:
            self.finish()
        else:
            self.click(at, label, another=another)

    def drag(self, path: list[Position], label: int) -> None:
        """Show what the drag would give if it ended here."""
        plane = self.ground.plane()
        if plane is None:
            return
        step, line = self.tool.drag([self.ground.clamped(at) for at in path], label)
        self._line = tuple(line)
        if step is not None and self.previews:
            self.asking.try_out(plane, step)
        self._refresh()

    def drop(self, path: list[Position], label: int, *, another: bool) -> None:
        """Take what was drawn."""
        plane = self.ground.plane()
        if plane is not None:
            points = [self.ground.clamped(at) for at in path]
            self._take(plane, lambda: self.tool.drop(points, label), another)

    # -------------------------------------------------------------------------------- the keys

    def accept(self) -> None:
        """Paint the objects under way, as soon as they are answered."""
        if self.tool.corners:
            self.finish()
            return
        hover = self.asking.hover
        if not len(self.drafts) and hover is not None and hover.mask is not None:
            self.current.begin()
            self.asking.keep(hover)
        self._accept_soon = bool(self.drafts.unanswered())
        if not self._accept_soon:
            self._paint()

    def next_candidate(self) -> None:
        """Show the next of the model's masks; ask for more if there is only one."""
        draft, hover = self.drafts.last, self.asking.hover
        if draft is not None and len(draft.answers) == 1 and draft.answered:
            self.asking.ask_for_more(draft)
        elif draft is not None:
            draft.next()
        elif hover is not None:
            hover.next()
        self._refresh()

    def clear(self) -> None:
        """Forget the prompts that are not accepted."""
        self.asking.forget()
        self.tool.corners.clear()
        self._line, self._accept_soon = (), False
        self._refresh()

    def take_back(self) -> None:
        """Forget the last prompt."""
        if self.tool.corners:
            del self.tool.corners[-1:]
        else:
            self.drafts.take_back()
        self._accept_soon = False
        self.asking.ask()
        self._refresh()

    def new_object(self) -> None:
        """Begin another object, with the next number."""
        self.clear()
        self.current.choose(self.objects.next_number())
        self.changed.emit()

    def edit(self) -> None:
        """Take up the accepted object under the mouse again."""
        if self._mouse is not None:
            self._edit(self._mouse)

    def finish(self) -> None:
        """Close what is drawn bit by bit."""
        plane = self.ground.plane()
        if plane is not None:
            self._take(plane, self.tool.finish, another=False)

    def choose_tool(self, name: str) -> None:
        """Prompt with another tool."""
        self.tool.corners.clear()
        self.tool, self._line = self.tools[name], ()
        self.asking.drop_hover()
        self._refresh()

    def set_category(self, category: Category) -> None:
        """Accept objects with this class from now on."""
        self.category = category
        self.overlay.recolor(category.color)
        self.changed.emit()

    def redraw(self) -> None:
        """Draw lines and edges as wide as before after a zoom."""
        if len(self.drafts) or self.tool.corners:
            self._refresh()

    # ------------------------------------------------------------------------------------ both

    def _take(self, plane: tuple[int, ...], make: Callable[[], Step | None], another: bool) -> None:
        """Add what was said to the object under way, or to another one."""
        self._line = ()
        try:
            step = make()
        except InstsegError as error:
            self.failed.emit(error)
            return
        if step is not None:
            draft = self.drafts.last
            if draft is None or another or draft.plane != plane:
                self.current.begin()
                draft = self.asking.begin(plane)
            draft.add(step)
            self._accept_soon = False
            self.asking.ask()
        self._refresh()

    def _edit(self, spot: Spot) -> None:
        found = self.ground.mask_of(self.objects.layer, spot)
        if found is None:
            return
        number, mask = found
        self.clear()
        self.current.choose(number)
        self.picked.emit(self.objects.category_of(number) or 0)
        draft = self.asking.begin(spot.plane, number)
        draft.add(Step(mask=mask))
        draft.answer((drawn(self.asking.session, spot.plane, mask),), draft.version)
        self._refresh()

    def _combine(self, drawn: Mask, label: int) -> Mask | None:
        """Join what was drawn with the mask that is shown, or take it away from that."""
        draft = self.drafts.last
        shown = None if draft is None else draft.mask
        if shown is None:
            return None if label == OFF else drawn
        return combined(shown, drawn, add=label != OFF)

    def _pick(self, at: Point) -> Mask | None:
        if self.source is None or self._mouse is None:
            return None
        found = self.ground.mask_of(self.source, self._mouse)
        return None if found is None else found[1]

    def _paint(self) -> None:
        plane = self.drafts.plane
        drafts = [draft for draft in self.drafts if draft.mask is not None]
        if plane is None or not drafts:
            return
        accepted = self.current.numbered(drafts)
        try:
            self.objects.accept(plane, accepted, self.category, overwrite=self.overwrite)
        except InstsegError as error:
            self.failed.emit(error)
            return
        self.current.accept(accepted[-1].number)
        self.clear()
        self.accepted.emit()

    def _refresh(self) -> None:
        """Show what is under way, and say so."""
        if self._accept_soon and not self.drafts.unanswered():
            self._accept_soon = False
            self._paint()
            return
        hover, where = self.asking.hover, self.drafts.plane
        if where is None:
            where = hover.plane if hover is not None else self.ground.plane() or ()
        shades = [Shade(draft.mask) for draft in self.drafts if draft.mask is not None]
        if hover is not None and hover.mask is not None and hover.plane == where:
            shades.append(Shade(hover.mask, hover=True))
        steps = [step for draft in self.drafts for step in draft.steps]
        lines = [step.outline for step in steps if step.outline]
        lines += [line for line in (tuple(self.tool.corners), self._line) if line]
        dots = [(point, step.label) for step in steps for point in step.points]
        self.overlay.show(Scene(where, tuple(shades), tuple(dots), tuple(lines)))
        self.changed.emit()
