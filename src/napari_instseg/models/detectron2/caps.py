"""Detectron2's caps on objects, raised together where an image is dense."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

#: Caps are raised by this factor, until the image fits or objects are as many as this.
FACTOR, MOST = 4, 2000
#: An object beyond a cap scores less than the last one within it. Where that one scores less
#: than this, another pass over the image would only find more guesses.
WORTHWHILE = 0.3
#: Proposals that are kept for each object that may be found.
PROPOSALS = 4

#: Finds the objects of all images (None) or of one, by its index.
Detect: TypeAlias = Callable[[int | None], list[Any]]


class Caps:
    """The numbers in a model at which it stops listing objects.

    Parameters
    ----------
    model : nn.Module
        An R-CNN or RetinaNet of Detectron2; others have no caps.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._lock = threading.Lock()
        heads = getattr(model, "roi_heads", None)
        if heads is None:
            self._last: list[Any] = [model] if hasattr(model, "max_detections_per_image") else []
            self._name = "max_detections_per_image"
        else:
            # A cascade has a list of predictors.
            predictor = heads.box_predictor
            self._last = list(predictor) if hasattr(predictor, "__len__") else [predictor]
            self._name = "test_topk_per_image"
        self.objects = int(getattr(self._last[0], self._name)) if self._last else -1

    def detect(self, detect: Detect) -> list[tuple[Any, int]]:
        """Find objects; once more, with higher caps, where there are as many as the cap.

        Parameters
        ----------
        detect : callable
            Gives Detectron2's ``Instances`` of each image.

        Returns
        -------
        list of (Instances, int)
            Of each image, with the cap if it is reached all the same, else 0.
        """
        with self._lock:
            found = detect(None)
            return [self._again(detect, i, result) for i, result in enumerate(found)]

    def _again(self, detect: Detect, which: int, result: Any) -> tuple[Any, int]:
        cap = self.objects
        while 0 <= cap <= len(result):
            if cap >= MOST or float(result.scores.min()) < WORTHWHILE:
                return result, cap
            cap = min(cap * FACTOR, MOST)
            with self._raised(cap):
                result = detect(which)[0]
        return result, 0

    @contextmanager
    def _raised(self, cap: int) -> Iterator[None]:
        """Let the model list up to ``cap`` objects, and keep as many proposals as that needs."""
        changed: list[tuple[Any, str, Any]] = []

        def put(owner: Any, name: str, value: Any) -> None:
            changed.append((owner, name, getattr(owner, name)))
            setattr(owner, name, value)

        for owner in self._last:
            put(owner, self._name, cap)
        proposals = getattr(self._model, "proposal_generator", None)
        if proposals is not None:
            for name in ("pre_nms_topk", "post_nms_topk"):
                limits = getattr(proposals, name)
                put(proposals, name, {**limits, False: max(limits[False], PROPOSALS * cap)})
        elif hasattr(self._model, "test_topk_candidates"):
            # RetinaNet: candidates of each level.
            put(
                self._model,
                "test_topk_candidates",
                max(self._model.test_topk_candidates, PROPOSALS * cap),
            )
        try:
            yield
        finally:
            for owner, name, value in reversed(changed):
                setattr(owner, name, value)
