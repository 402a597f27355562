"""What a person reads of a model: its task, size, state, and a line or a tooltip of all that."""

from __future__ import annotations

from ..models.entry import BUILT_IN, PROMPTS, SEGMENT_ANYTHING, YOURS, ZOO, ModelEntry

GROUP_TITLES = {
    BUILT_IN: "Built-in",
    ZOO: "Detectron2 zoo",
    SEGMENT_ANYTHING: "Segment Anything",
    YOURS: "Yours",
}
#: From the richest to the plainest: a model is called after the first that it gives.
TASKS = ("panoptic", "instances", "semantic", "boxes", PROMPTS)
HERE, TO_GET, ABSENT = "✓", "↓", "✗"
DETECTRON2 = "detectron2"


def task(entry: ModelEntry) -> str:
    """Name what the model is for."""
    return next((name for name in TASKS if name in entry.outputs), "")


def does(entry: ModelEntry, wanted: str) -> bool:
    """Whether a model is one for a task; "" is any."""
    # Every model with masks has boxes, too: whoever looks for boxes means the others.
    return wanted in ("", task(entry)) or (wanted != "boxes" and wanted in entry.outputs)


def in_words(count: int) -> str:
    """Write a number of bytes in MB or GB."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{_short(count)} MB"


def megabytes(entry: ModelEntry) -> str:
    """Size of the weights in MB, "" if it is not known."""
    count = _bytes(entry)
    return "" if count is None else _short(count)


def size(entry: ModelEntry) -> str:
    """Size of the weights with its unit, "" if it is not known."""
    count = _bytes(entry)
    return "" if count is None else in_words(count)


def _bytes(entry: ModelEntry) -> int | None:
    if entry.size is None and entry.present:
        return entry.path.stat().st_size
    return entry.size


def _short(count: int) -> str:
    return f"{count / 1e6:.1f}" if 0 < count < 10_000_000 else f"{count / 1e6:.0f}"


def where(entry: ModelEntry) -> str:
    """Say in a few words whether the weights are on this machine."""
    if entry.present:
        return "here"
    return "not downloaded" if entry.url else "file is missing"


def mark(entry: ModelEntry) -> str:
    """`where` as a sign, for a narrow column."""
    if entry.present:
        return HERE
    return TO_GET if entry.url else ABSENT


def line(entry: ModelEntry) -> str:
    """Tell the main facts in one line."""
    amount = ", ".join(filter(None, (size(entry), where(entry))))
    parts = (task(entry), entry.dataset, amount, entry.license.partition(";")[0])
    return " · ".join(filter(None, parts))


def tooltip(entry: ModelEntry) -> str:
    """Tell all that there is to know."""
    rows = [
        entry.description,
        f"Name: {entry.name}",
        f"Licence: {entry.license}" if entry.license else "",
        f"Weights: {', '.join(filter(None, (size(entry), where(entry))))}",
    ]
    missing = entry.missing()
    if missing:
        rows.append(missing[:1].upper() + missing[1:])
    return "\n".join(filter(None, rows))
