"""Many inputs, one model: none stops the others, and files are read and written meanwhile."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TypeAlias

from ..io.results import check_format
from ..io.run_folder import FolderInUseError
from ..ops.axes import Image
from ..progress import Progress
from ..provenance import versions
from ..result import Result
from ..segmenter import InputError
from .jobs import Job
from .status import DONE, RUNNING, STOPPED, WAITING, status_path, write_status
from .tasks import Stepwise, Task

#: Seconds after which a thread that waits looks up, as Windows' Ctrl-C reaches no other.
PATIENCE = 0.5


@dataclass(frozen=True, slots=True)
class Step:
    """Something has happened to an input: it is ``progress`` far, or (None) it has ended."""

    job: Job
    progress: Progress | None = None


#: A step to pass on, or an image with whom to tell what was found in it; None: a lane has ended.
_Message: TypeAlias = "Step | tuple[Job, Image, SimpleQueue[Stepwise | None]] | None"


class BatchRun:
    """Does all jobs that wait, step by step; what becomes of each is kept in it.

    Iterate to work; leave the loop at any step to stop, and close the iterator
    (`contextlib.closing`): then what is finished is kept, and what was under way waits again.

    Parameters
    ----------
    task : Task
    jobs : sequence of Job
    output : Path
        Folder for results and status files; made if it is not there.
    at_once : int
        Inputs under way, and in memory, at a time. With 1 all is done in the thread that
        iterates; with more it uses the model, one image after the other, while others are read
        and written by threads. Results are the same.
    on_result : callable, optional
        Called with each job that has ended well and its result, by the thread that wrote it; what
        is read of the result is to be read then.

    Raises
    ------
    InputError
        If ``at_once`` is less than 1.
    """

    def __init__(
        self,
        task: Task,
        jobs: Sequence[Job],
        output: Path,
        *,
        at_once: int = 1,
        on_result: Callable[[Job, Result], None] | None = None,
    ) -> None:
        if at_once < 1:
            raise InputError(f"at_once: expected 1 input or more, got {at_once}")
        self.task, self.jobs, self.output = task, jobs, output
        self._at_once, self._on_result = at_once, on_result
        self._versions = versions()

    def __iter__(self) -> Generator[Step]:
        """Do the work."""
        waiting = deque(job for job in self.jobs if job.status == WAITING)
        if self._at_once == 1:
            return self._one_by_one(waiting)
        return self._side_by_side(waiting)

    def _one_by_one(self, waiting: deque[Job]) -> Generator[Step]:
        while waiting:
            job = waiting.popleft()
            with self._putting_back(job):
                yield Step(job, Progress(0, 0, "reading"))
                yield from self._do(job)
            yield Step(job)

    def _do(self, job: Job) -> Generator[Step]:
        """Take an input from file to files; nothing of it is in memory afterwards."""
        image = self._read(job)
        run = None if image is None else (yield from self._segment(job, image))
        if run is not None:
            self._write(job, run)

    def _side_by_side(self, waiting: deque[Job]) -> Generator[Step]:
        """Serve the lanes, each of which takes an input from file to files."""
        inbox: SimpleQueue[_Message] = SimpleQueue()
        # Daemons: they may wait for an answer that never comes if Ctrl-C is pressed twice.
        threads = [
            threading.Thread(target=self._lane, args=(waiting, inbox), daemon=True)
            for _ in range(min(self._at_once, len(waiting)))
        ]
        for thread in threads:
            thread.start()
        lanes = len(threads)
        try:
            while lanes:
                message = _next(inbox)
                if isinstance(message, Step):
                    yield message
                elif message is None:
                    lanes -= 1
                else:
                    yield from self._serve(*message)
                # The image in it is for nobody to keep while the next one is waited for.
                del message
        finally:
            waiting.clear()
            while lanes:
                message = _next(inbox)
                if message is None:
                    lanes -= 1
                elif isinstance(message, tuple):
                    self._put_back(message[0])
                    message[2].put(None)
            for thread in threads:
                thread.join()

    def _serve(
        self, job: Job, image: Image, answer: SimpleQueue[Stepwise | None]
    ) -> Generator[Step]:
        run = None
        try:
            with self._putting_back(job):
                run = yield from self._segment(job, image)
        finally:
            answer.put(run)

    def _lane(self, waiting: deque[Job], inbox: SimpleQueue[_Message]) -> None:
        """Take one input after the other: read it, have it segmented, write the result."""
        answer: SimpleQueue[Stepwise | None] = SimpleQueue()
        while True:
            try:
                job = waiting.popleft()
            except IndexError:
                break
            inbox.put(Step(job, Progress(0, 0, "reading")))
            image = self._read(job)
            if image is not None:
                inbox.put((job, image, answer))
                del image
                self._take(job, answer, inbox)
            inbox.put(Step(job))
        inbox.put(None)

    def _take(
        self, job: Job, answer: SimpleQueue[Stepwise | None], inbox: SimpleQueue[_Message]
    ) -> None:
        """Wait for what was found in an image, and write it."""
        run = answer.get()
        if run is not None:
            inbox.put(Step(job, Progress(0, 0, "writing")))
            self._write(job, run)

    # What is done with an input.

    def _read(self, job: Job) -> Image | None:
        """Read a job's image; what its result could not be written as is said now."""
        with self._noting(job):
            job.status = RUNNING
            self._tell(job)
            image = self.task.read(job.path)
            check_format(job.format, image)
            return image
        return None

    def _segment(self, job: Job, image: Image) -> Generator[Step, None, Stepwise | None]:
        """Use the model; a run that is not whole is closed."""
        run: Stepwise | None = None
        steps: Iterator[Progress] = iter(())
        with self._noting(job):
            run = self.task.begin(image, job.path, self.output, job.name, job.format)
            steps = iter(run)
        try:
            while run is not None and job.status == RUNNING:
                progress = None
                with self._noting(job):
                    progress = next(steps, None)
                if progress is None:
                    break
                yield Step(job, progress)
        except (KeyboardInterrupt, GeneratorExit):
            if run is not None and self.task.has_part(run):
                self._write(job, run, STOPPED)
            elif run is not None:
                run.close()
            raise
        if run is not None and job.status != RUNNING:
            run.close()
            return None
        return run

    def _write(self, job: Job, run: Stepwise, status: str = DONE) -> None:
        """Write a job's result, and that it is there."""
        with self._noting(job), closing(run):
            result, files = run.save()
            job.warnings, job.count, job.files = result.warnings, result.count, tuple(files)
            job.status = status
            self._tell(job)
            if self._on_result is not None:
                self._on_result(job, result)

    def _noting(self, job: Job) -> _Noting:
        return _Noting(job, self._tell)

    def _tell(self, job: Job) -> None:
        """Write the status file."""
        values = {**job.to_json(), "input": os.path.realpath(job.path), "versions": self._versions}
        write_status(self.output, job.name, values)

    @contextmanager
    def _putting_back(self, job: Job) -> Iterator[None]:
        """Let a job wait again if the user stops."""
        try:
            yield
        except (KeyboardInterrupt, GeneratorExit):
            self._put_back(job)
            raise

    def _put_back(self, job: Job) -> None:
        if job.status == RUNNING:
            job.status, job.seconds = WAITING, 0.0
            status_path(self.output, job.name).unlink(missing_ok=True)


class _Noting:
    """Keeps in a job how long something took, and why it failed; then the next one's turn comes.

    Parameters
    ----------
    job : Job
    tell : callable
        Writes the status of a job that has failed.
    """

    def __init__(self, job: Job, tell: Callable[[Job], None]) -> None:
        self._job, self._tell = job, tell
        self._began = 0.0

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> bool:
        """Go on after a failure, but not after Ctrl-C."""
        self._job.seconds += time.perf_counter() - self._began
        if not isinstance(error, Exception):
            return False
        self._job.fail(error)
        if isinstance(error, FolderInUseError):
            # The status file is that of the run that is writing there.
            return True
        # If that cannot be written (a full disk, mostly): the error is told at the end anyway.
        with suppress(OSError):
            self._tell(self._job)
        return True


def _next(inbox: SimpleQueue[_Message]) -> _Message:
    while True:
        try:
            return inbox.get(timeout=PATIENCE)
        except Empty:
            continue
