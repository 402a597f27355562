"""The snippets of docs/cluster.md for batch systems and Kubernetes: they do what the text says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from distributed import Client
from test_stored import picture

import napari_instseg as nis

DOCS = Path(__file__).parents[1] / "docs" / "cluster.md"
pytestmark = [
    # Dask warns on a busy machine.
    pytest.mark.filterwarnings("ignore:Creating scratch directories:UserWarning"),
    pytest.mark.filterwarnings("ignore:Port 8787 is already in use:UserWarning"),
]


def snippet(word: str, until: str) -> dict[str, Any]:
    """Run the documented lines with a word in them, up to a line; return what they name."""
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    (block,) = (block for block in blocks if word in block)
    named: dict[str, Any] = {}
    exec(block[: block.index(until)], named)
    return named


def assert_same_files(folder: Path, expected: Path) -> None:
    names = [
        sorted(str(path.relative_to(where)) for path in where.rglob("*") if path.is_file())
        for where in (folder, expected)
    ]
    assert names[0] == names[1]
    assert all((folder / name).read_bytes() == (expected / name).read_bytes() for name in names[0])


@pytest.fixture(scope="module")
def jobqueue() -> ModuleType:
    return pytest.importorskip("dask_jobqueue", reason="dask-jobqueue is not installed")


@pytest.fixture(scope="module")
def kubernetes() -> ModuleType:
    return pytest.importorskip("dask_kubernetes", reason="dask-kubernetes is not installed")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    """A picture, what one process makes of it, and how."""
    folder = tmp_path_factory.mktemp("alone")
    np.save(folder / "field.npy", (picture((200, 260)) * 200).astype(np.uint8))
    options = {"tile_size": 128, "overlap": 32, "device": "cpu", "format": "zarr", "stem": "a"}
    nis.segment_to(folder / "out", folder / "field.npy", **options)
    return folder / "field.npy", folder / "out", options


def test_the_job_script_of_slurm(jobqueue: ModuleType) -> None:
    named = snippet("SLURMCluster", "print(cluster.job_script())")
    lines = named["cluster"].job_script().splitlines()
    named["cluster"].close()
    assert {
        "#SBATCH -p gpu",
        "#SBATCH -n 1",
        "#SBATCH --cpus-per-task=8",
        "#SBATCH --mem=30G",
        "#SBATCH -t 04:00:00",
        "#SBATCH --gres=gpu:1",
        "export OMP_NUM_THREADS=8",
    } <= set(lines)
    worker = lines[-1].split()
    assert worker[:3] == [sys.executable, "-m", "distributed.cli.dask_worker"]
    assert worker[worker.index("--nthreads") + 1] == "1"
    assert "--nworkers" not in worker


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("LSFCluster", ["#BSUB -n 8", "#BSUB -gpu num=1"]),
        ("PBSCluster", ["#PBS -l select=1:ncpus=8:ngpus=1:mem=32GB"]),
        ("SGECluster", ["#$ -l gpu=1", "#$ -pe smp 8"]),
    ],
)
def test_the_options_of_other_queues(name: str, expected: list[str], jobqueue: ModuleType) -> None:
    (options,) = re.findall(rf"\| `{name}` \| `(.*?)`", DOCS.read_text("utf-8"))
    usual = {"cores": 1, "processes": 1, "memory": "32GB"}
    with getattr(jobqueue, name)(**usual, **eval(f"dict({options})")) as cluster:
        assert set(expected) <= set(cluster.job_script().splitlines())


# dask-jobqueue waits for none of its processes.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_workers_that_are_jobs(
    jobqueue: ModuleType,
    alone: tuple[Path, Path, dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With jobs that are processes of this machine, which else goes as with SLURM."""
    from dask_jobqueue.local import LocalCluster

    image, expected, options = alone
    # As the prologue of a job script does.
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    with LocalCluster(cores=1, processes=1, memory="2GB") as cluster, Client(cluster) as client:
        cluster.scale(jobs=2)
        client.wait_for_workers(2, timeout=120)
        nis.segment_to(tmp_path / "out", image, client=client, **options)
        threads = client.run(os.environ.get, "OMP_NUM_THREADS")
        assert [*threads.values()] == ["3", "3"]
        assert set(client.nthreads().values()) == {1}
    assert_same_files(tmp_path / "out", expected)


def test_the_pods_of_kubernetes(
    kubernetes: ModuleType, alone: tuple[Path, Path, dict[str, Any]], tmp_path: Path
) -> None:
    """Their commands, run on this machine as the operator would in pods."""
    spec = snippet("KubeCluster", "cluster = KubeCluster")["spec"]["spec"]
    (scheduler,) = spec["scheduler"]["spec"]["containers"]
    (worker,) = spec["worker"]["spec"]["containers"]
    assert worker["volumeMounts"][0]["name"] == spec["worker"]["spec"]["volumes"][0]["name"]
    assert spec["worker"]["replicas"] == 16
    image, expected, options = alone
    file = tmp_path / "scheduler.json"
    ports = ["--port", "0", "--dashboard-address", ":0", "--scheduler-file", str(file)]
    started = [subprocess.Popen([*_command(scheduler["args"]), *ports])]
    try:
        for _ in range(600):
            if file.exists():
                break
            time.sleep(0.1)
        with Client(scheduler_file=str(file)) as client:
            given = {
                **os.environ,
                "DASK_SCHEDULER_ADDRESS": client.scheduler.address,
                "DASK_WORKER_NAME": "worker-1",
            }
            args = [arg.replace("$(DASK_WORKER_NAME)", "worker-1") for arg in worker["args"]]
            started.append(subprocess.Popen(_command(args), env=given))
            client.wait_for_workers(1, timeout=120)
            nis.segment_to(tmp_path / "out", image, client=client, **options)
            (about,) = client.scheduler_info()["workers"].values()
            assert (about["name"], about["nthreads"]) == ("worker-1", 1)
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(60)
    assert_same_files(tmp_path / "out", expected)


def _command(args: list[str]) -> list[str]:
    """The same command with the Python of the tests."""
    assert args[0] == "dask"
    return [sys.executable, "-m", *args]
