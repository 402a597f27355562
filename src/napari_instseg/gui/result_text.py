"""What a person reads of a result."""

from __future__ import annotations

from ..result import Result

PLURALS = {"nucleus": "nuclei", "bacterium": "bacteria", "mitochondrion": "mitochondria"}


def counted(result: Result) -> str:
    """Number of objects in words, such as "127 nuclei"; of those through time, "31 tracks"."""
    if result.tracked:
        return f"{result.count} {'track' if result.count == 1 else 'tracks'}"
    things = [c.name for c in result.categories if c.is_thing]
    noun = things[0] if len(things) == 1 else "object"
    return f"{result.count} {noun if result.count == 1 else PLURALS.get(noun, noun + 's')}"


def device(result: Result) -> str:
    """Name what it was computed on."""
    return str(result.details.get("resolved", {}).get("device", ""))


def ran(result: Result, seconds: float) -> str:
    """What a run has found, in what time and on what."""
    text = f"{counted(result)} · {seconds:.1f} s · {device(result)}"
    return text if result.complete else f"Cancelled: {text} until then"


def level_note(result: Result, level: int) -> list[str]:
    """Say which level of a multiscale layer was used, if not the finest."""
    if not level:
        return []
    size = " × ".join(map(str, result.image.label_shape[-2:]))
    return [f"level {level} of the multiscale image was used ({size} px)"]
