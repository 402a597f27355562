"""A run's work on a Dask cluster: each worker has its own model, reads and writes its own files."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .hands import R, T
from .models.entry import LoadedModel
from .remote import describe
from .segmenter import InputError, InstsegError
from .settings import Settings

if TYPE_CHECKING:
    from distributed import Client, Future

#: Tasks a thread that are submitted before the first of them is done, and least number of these.
AHEAD, LEAST_AHEAD = 4, 32
#: Results that a task of the tree puts together.
BRANCHES = 8
#: Instead of an address: workers on this machine.
LOCAL = "local"
#: Environment of workers that Dask starts: what says how many cores they may use.
SPAWN = "distributed.nanny.pre-spawn-environ"
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
V = TypeVar("V")


class ClusterError(InstsegError):
    """Workers, or their scheduler, are gone for good."""


class DaskHands:
    """`Hands` of the workers of a Dask cluster.

    Of each kind of work a few tasks a thread are submitted at a time, however many there are to
    come. A task whose worker dies is done again by another one. Leaving a loop over results
    cancels what has not begun.

    Parameters
    ----------
    client : distributed.Client
        Not an asynchronous one.

    Raises
    ------
    InputError
        If it is something else, or Dask Distributed is not installed.
    """

    def __init__(self, client: Any) -> None:
        check_installed()
        from distributed import Client

        if not isinstance(client, Client) or client.asynchronous:
            raise InputError(
                "client: expected a distributed.Client that is not asynchronous, got "
                f"{type(client).__name__}"
            )
        self._client: Client = client

    def __str__(self) -> str:
        """Return the number of workers, for people."""
        count = len(self._client.nthreads())
        return f"{count} worker{'' if count == 1 else 's'}"

    @property
    def capacity(self) -> int:
        """See `Hands`."""
        return AHEAD * self._ahead

    @property
    def _ahead(self) -> int:
        threads: int = sum(self._client.nthreads().values())
        return max(LEAST_AHEAD, AHEAD * threads)

    def load(self, settings: Settings) -> LoadedModel:
        """Load a model on a worker; return one that every worker loads when it first uses it.

        Paths that settings name are those of this process.

        Raises
        ------
        ModelError
            As of `models.registry.load`.
        """
        sent = settings.replace(
            **{
                name: _absolute(getattr(settings, name))
                for name in ("model", "weights", "categories")
            }
        )
        (loaded,) = self.map(describe, [sent])
        # In the recipe it is called as it was given.
        return loaded if sent.model == settings.model else replace(loaded, name=settings.model)

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """See `Hands`."""
        for future in self._submitted(function, items):
            with _explained():
                result = future.result()
            yield result

    def combine(
        self,
        function: Callable[[T], R],
        items: Iterable[T],
        join: Callable[[Sequence[R]], R],
    ) -> R:
        """See `Hands`; results stay on the workers until one is left."""
        tree = _Tree(self._client, join)
        for future in self._submitted(function, items):
            tree.add(future)
        with _explained():
            return tree.root().result()  # type: ignore[no-any-return]

    def _submitted(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[Future[R]]:
        """Submit a task for each item, some ahead; give each when it is done, in their order."""
        # A task of its own: it travels to each worker once, and can be done again if one dies.
        shared = self._client.submit(_itself, _Sealed(function), pure=False)
        ahead: deque[Future[R]] = deque()
        try:
            for item in items:
                ahead.append(self._client.submit(_do, shared, _Sealed(item), pure=False))
                while ahead and (ahead[0].done() or len(ahead) >= self._ahead):
                    _finish(ahead[0])
                    yield ahead.popleft()
            while ahead:
                _finish(ahead[0])
                yield ahead.popleft()
        finally:
            # An error that is looked at keeps what it has come through.
            shared.release()
            if ahead and self._client.status == "running":
                self._client.cancel(list(ahead))


def _absolute(text: str | None) -> str | None:
    """The whole path of a file here; names are left as they are."""
    path = Path(text or "").expanduser()
    return str(path.absolute()) if path.suffix and path.is_file() else text


class _Tree:
    """Puts results together as they come, a few at a time, in their order."""

    def __init__(self, client: Client, join: Callable[[Sequence[V]], V]) -> None:
        self._client, self._join = client, join
        #: Of each level, the lowest first: those that wait for more.
        self._levels: list[list[Future[Any]]] = []

    def add(self, future: Future[Any], level: int = 0) -> None:
        if level == len(self._levels):
            self._levels.append([])
        here = self._levels[level]
        here.append(future)
        if len(here) == BRANCHES:
            self._levels[level] = []
            self.add(self._together(here), level + 1)

    def root(self) -> Future[Any]:
        """Put all that is left together."""
        return self._together([future for here in reversed(self._levels) for future in here])

    def _together(self, futures: list[Future[Any]]) -> Future[Any]:
        return self._client.submit(self._join, futures, pure=False)


@dataclass(frozen=True, slots=True)
class _Sealed:
    """What Dask is not to look into for tasks."""

    content: Any


def _itself(sealed: _Sealed) -> _Sealed:
    return sealed


def _do(function: _Sealed, item: _Sealed) -> Any:
    return function.content(item.content)


def _finish(future: Future[Any]) -> None:
    """Wait for a task; raise what it has raised."""
    from distributed import wait

    with _explained():
        wait(future)
        if future.status != "finished":
            future.result()


@contextmanager
def _explained() -> Iterator[None]:
    """Turn Dask's own errors into one that says what to do."""
    from distributed import CancelledError, KilledWorker

    try:
        yield
    except KilledWorker as error:
        raise ClusterError(
            f"{error.allowed_failures + 1} workers died one after the other at the same work: "
            "expected enough memory for a model and a batch of tiles each; give workers more "
            "memory or fewer threads, or take smaller tiles"
        ) from error
    except CancelledError as error:
        raise ClusterError(
            "the cluster's scheduler is gone, or has cancelled the work; what is done is kept"
        ) from error


@contextmanager
def connect(scheduler: str, workers: int | None = None) -> Iterator[DaskHands]:
    """Connect to a cluster.

    Parameters
    ----------
    scheduler : str
        Address such as "tcp://10.0.0.1:8786", or "local" for processes of this machine.
    workers : int, optional
        Number of processes for "local", which share its cores; by default Dask chooses.

    Raises
    ------
    InputError
        If nothing answers at the address, or Dask Distributed is not installed.
    """
    check_installed()
    import dask
    from distributed import Client, LocalCluster

    if scheduler != LOCAL:
        try:
            client = Client(scheduler)
        except (OSError, ValueError) as error:
            raise InputError(
                f"{scheduler}: expected the address of a running Dask scheduler, such as "
                f"tcp://10.0.0.1:8786, or 'local' ({error})"
            ) from error
        with client:
            yield DaskHands(client)
        return
    cores = os.cpu_count() or 1
    count = workers or cores
    # Else Dask gives each worker one.
    share = {f"{SPAWN}.{name}": max(1, cores // count) for name in THREADS}
    with (
        dask.config.set(share),
        LocalCluster(
            n_workers=count, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
        Client(cluster) as client,
    ):
        yield DaskHands(client)


def check_installed() -> None:
    """Raise an error that says what to do if Dask Distributed is missing.

    Raises
    ------
    InputError
    """
    if not find_spec("distributed"):
        raise InputError(
            'running on a cluster needs a package: pip install "napari-instseg[cluster]"'
        )
