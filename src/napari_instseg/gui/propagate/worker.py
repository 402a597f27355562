"""The propagation of an object in a thread of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import napari.layers
from numpy.typing import NDArray

from ...instances import Mask
from ...prompting import PromptSession
from ...prompting.propagation import Propagated, PropagationRun, PropagationSettings
from ...segmenter import InputError
from ..prompt.ground import Ground
from ..tasks import Worker


class PropagateHost(Protocol):
    """What the box asks of the dock that it is in."""

    def session(self) -> PromptSession | None:
        """The session that answers prompts, None if there is none yet."""
        ...

    def labels(self) -> napari.layers.Labels | None:
        """The layer that objects are painted into; its selected label is the object."""
        ...

    def ground(self) -> Ground | None:
        """Where the image's pixels lie in that layer."""
        ...


@dataclass(frozen=True, eq=False)
class Job:
    """What a worker is to do.

    Parameters
    ----------
    session : PromptSession
    ground : Ground
    data : array
        Of the layer of objects.
    number : int
        The object's value in it.
    axis : str
        Letter of the axis to go along.
    plane : tuple of int
        The plane that is shown, along all plane axes.
    alone : bool
        Start from that plane only, not from all planes along the axis that have the object.
    settings : PropagationSettings
    """

    session: PromptSession
    ground: Ground
    data: NDArray[Any]
    number: int
    axis: str
    plane: tuple[int, ...]
    alone: bool
    settings: PropagationSettings

    def __str__(self) -> str:
        """Text for napari's question when a window is closed during a run."""
        return f"propagation of object {self.number}"

    @property
    def others(self) -> tuple[int, ...]:
        """Index of the shown plane along the other axes."""
        place = self._place
        return (*self.plane[:place], *self.plane[place + 1 :])

    @property
    def _place(self) -> int:
        return self.session.image.plane_axes.index(self.axis)

    def seeds(self) -> dict[int, Mask]:
        """The object's masks in the layer, by index along the axis.

        Raises
        ------
        InputError
            If there is none.
        """
        place, whole = self._place, slice(None)
        here = self.plane[place]
        count = self.session.image.plane_shape[place]
        masks = {}
        for k in [here] if self.alone else range(count):
            plane = (*self.plane[:place], k, *self.plane[place + 1 :])
            pixels = self.ground.view(self.data, plane, whole, whole) == self.number
            mask = Mask((0, 0), pixels).tight() if pixels.any() else None
            if mask is not None:
                masks[k] = mask
        if not masks:
            where = f" on {self.axis.lower()} {here}" if self.alone else " here"
            raise InputError(
                f"object {self.number} has no pixels{where}: accept it on a plane first, or "
                "choose another label"
            )
        return masks


class PropagateWorker(Worker):
    """Follows an object; ``returned`` and ``aborted`` come with a `Propagated`."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        # Taken out when it begins: napari remembers workers that have ended.
        self._jobs = [job]

    def work(self) -> Propagated:
        """Do the job; `WorkerBase` reports the result and errors."""
        job = self._jobs.pop()
        run = PropagationRun(job.session, job.seeds(), job.axis, job.others, job.settings)
        for step in run:
            self.signals.progress.emit(step.done, step.total, step.message)
            if self.cancelled():
                break
        found = run.result()
        # WorkerBase reports no result after quit(), so a partial one needs a way of its own.
        if self.cancelled():
            self.signals.aborted.emit(found)
        return found
