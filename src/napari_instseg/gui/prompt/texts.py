"""What the dock says of the object under way."""

from __future__ import annotations

from collections.abc import Sequence

from ...progress import how_many
from ..task_row import breakable
from .controller import Prompting


def object_text(prompting: Prompting) -> str:
    """The current object, and which of its masks is shown: "3 · mask 1 of 3 · IoU 0.91"."""
    number = prompting.current.number
    drafts = prompting.drafts
    parts = [str(number)]
    if len(drafts) > 1:
        parts = [f"{len(drafts)} at once"]
    seen = drafts.last or prompting.asking.hover
    if seen is not None and seen.answers:
        if len(seen.answers) > 1:
            parts.append(f"mask {seen.choice + 1} of {len(seen.answers)}")
        parts.append(f"IoU {seen.answers[seen.choice].score:.2f}")
    elif prompting.current.is_done:
        parts.append("accepted")
    return " · ".join(parts)


def state_text(prompting: Prompting, listens: bool) -> str:
    """What the dock is doing, or waits for."""
    drafts, asking = prompting.drafts, prompting.asking
    name = prompting.objects.layer.name
    left = asking.encoder.left
    if not listens:
        if not prompting.ground.shown():
            return "Show rows and columns of the image in 2-D to go on."
        return f"Paused: choose “{name}” in the layer list, in pan/zoom mode, to go on."
    if asking.has_failed:
        return "Failed: see the notification."
    if asking.waits_for is not None:
        return "Encoding what you clicked…"
    if len(drafts) and not any(draft.mask for draft in drafts) and not drafts.unanswered():
        return "Nothing found there: try another point, or a box."
    if len(drafts) == 0 and prompting.tool.corners:
        return "Double click or Enter closes the polygon."
    text = how_many(prompting.objects.count, "object")
    return f"{text} · encoding {how_many(left, 'tile')} ahead" if left else text


def warnings_text(warnings: Sequence[str]) -> str:
    """What the user should know, a line each; long paths may be broken."""
    return "\n".join(f"⚠ {breakable(warning)}" for warning in warnings)
