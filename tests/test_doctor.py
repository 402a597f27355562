"""The doctor finds what is missing and names the command, whatever is broken."""

from __future__ import annotations

import ctypes
import importlib
import json
import subprocess
import sys
import types
from dataclasses import replace
from pathlib import Path

import pytest

from napari_instseg import doctor
from napari_instseg.cli import main
from napari_instseg.doctor import Finding, examine, format_report
from napari_instseg.models import registry
from napari_instseg.models.detectron2 import bridges, install
from napari_instseg.segmenter import ModelError


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def hide(monkeypatch, *names: str) -> None:
    """Make packages look as if they were not installed."""
    find = doctor.find_spec
    monkeypatch.setattr(doctor, "find_spec", lambda name: None if name in names else find(name))


def fake_torch(
    cuda_build: str | None, *, cuda: bool = False, mps: bool = False
) -> types.ModuleType:
    torch = types.ModuleType("torch")
    torch.version = types.SimpleNamespace(cuda=cuda_build)
    torch.cuda = types.SimpleNamespace(
        is_available=lambda: cuda, device_count=lambda: 1, get_device_name=lambda i: "Big GPU"
    )
    torch.backends = types.SimpleNamespace(mps=types.SimpleNamespace(is_available=lambda: mps))
    torch.get_num_threads = lambda: 4
    return torch


def test_this_machine():
    findings = by_name(examine())
    for name in ("python", "numpy", "torch", "torchvision", "tifffile", "device"):
        assert findings[name].status == "ok", findings[name]
    assert findings["python"].detail.startswith(sys.version.split()[0])


@pytest.mark.parametrize("name", ["torch", "napari", "PIL", "zarr"])
def test_a_package_is_missing(monkeypatch, name):
    hide(monkeypatch, name)
    finding = by_name(examine())["pillow" if name == "PIL" else name]
    assert finding.status == ("missing" if name in ("torch", "PIL") else "note")
    assert finding.remedy.startswith(f'"{sys.executable}" -m pip install ')


def test_a_package_is_broken(monkeypatch):
    load = importlib.import_module

    def broken(name, *args):
        if name == "torchvision":
            raise RuntimeError("operator torchvision::nms does not exist")
        return load(name, *args)

    monkeypatch.setattr(importlib, "import_module", broken)
    finding = by_name(examine())["torchvision"]
    assert finding.status == "missing"
    assert "torchvision::nms" in finding.detail
    assert finding.remedy.endswith("-m pip install --force-reinstall torch torchvision")


@pytest.mark.parametrize(
    ("torch", "driver", "status", "detail", "remedy"),
    [
        (fake_torch("12.8", cuda=True), True, "ok", "CUDA: Big GPU", ""),
        (fake_torch(None, mps=True), False, "ok", "MPS", ""),
        (fake_torch(None), False, "ok", "CPU, 4 threads", ""),
        (fake_torch("12.8"), True, "note", "does not reach", "nvidia-smi"),
        (fake_torch(None), True, "note", "torch lacks CUDA", "--index-url"),
    ],
)
def test_devices(monkeypatch, torch, driver, status, detail, remedy):
    found = "/usr/bin/nvidia-smi" if driver else None
    monkeypatch.setattr(doctor.shutil, "which", lambda name: found)
    finding = doctor._device(torch)
    assert finding.status == status
    assert detail in finding.detail
    assert remedy in finding.remedy


class TestWeights:
    @pytest.fixture
    def entry(self, tmp_path, monkeypatch):
        entry = registry.ModelEntry(
            "mine", "", "", "a:b", tmp_path / "mine.safetensors", sha256="0" * 64
        )
        monkeypatch.setattr(registry, "entries", lambda: (entry,))
        return entry

    def test_missing(self, entry):
        finding = by_name(examine())["model mine"]
        assert finding.status == "missing"
        assert str(entry.path) in finding.detail
        assert finding.remedy.endswith("--force-reinstall --no-deps napari-instseg")

    def test_damaged(self, entry):
        entry.path.write_bytes(b"x")
        finding = by_name(examine())["model mine"]
        assert finding.status == "missing"
        assert "damaged (SHA-256 2d711642b726..., not 000000000000...)" in finding.detail

    def test_a_check_that_fails_is_a_finding(self, monkeypatch):
        def fail():
            raise FileNotFoundError("nuclei.sha256")

        monkeypatch.setattr(registry, "entries", fail)
        finding = by_name(examine())["weights"]
        assert finding.status == "missing"
        assert "nuclei.sha256" in finding.detail

    def test_files_of_models_that_did_not_come_with_it(self, entry, monkeypatch):
        """Those of the zoo are downloaded when they are needed; the user's own should be there."""
        zoo, yours = replace(entry, group="zoo"), replace(entry, group="yours")
        monkeypatch.setattr(registry, "entries", lambda: (zoo,))
        assert doctor._weights() == []
        monkeypatch.setattr(registry, "entries", lambda: (yours,))
        remedy = 'napari-instseg models remove "mine"'
        assert doctor._weights() == [Finding("model mine", "note", f"no file {entry.path}", remedy)]


class TestDetectron2:
    def finding(self, monkeypatch, found: install.State, error: str = "") -> Finding:
        def load():
            if error:
                raise ModelError(error)

        monkeypatch.setattr(install, "state", lambda: found)
        monkeypatch.setattr(bridges, "load", load)
        return doctor._detectron2()[0]

    def test_missing(self, monkeypatch):
        finding = self.finding(monkeypatch, install.State(), "not looked at")
        assert (finding.status, finding.remedy) == ("note", "napari-instseg install detectron2")

    def test_ours(self, monkeypatch):
        state = install.State(True, "0.6", "/there", False, "this program")
        finding = self.finding(monkeypatch, state)
        assert finding.status == "ok"
        assert finding.detail == "0.6, without its compiled extension, installed by this program"

    def test_broken(self, monkeypatch):
        state = install.State(True, "0.7", "/there", True, "user")
        finding = self.finding(monkeypatch, state, "undefined symbol")
        assert finding.status == "missing"
        assert "0.7, with its compiled extension, installed by you: undefined" in finding.detail
        assert finding.remedy.endswith("uninstall detectron2 && napari-instseg install detectron2")


class TestWindows:
    @pytest.fixture(autouse=True)
    def _linux(self, monkeypatch):
        monkeypatch.setattr(doctor.sys, "platform", "linux")

    @pytest.mark.parametrize(
        ("tool", "remedy"),
        [
            ("apt-get", "sudo apt-get install -y libxcb-cursor0"),
            ("dnf", "sudo dnf install -y xcb-util-cursor"),
            ("", ""),
        ],
    )
    def test_libraries(self, monkeypatch, tool, remedy):
        def load(name):
            if name == "libxcb-cursor.so.0":
                raise OSError(name)

        monkeypatch.setattr(ctypes, "CDLL", load)
        monkeypatch.setattr(doctor.shutil, "which", lambda name: name if name == tool else None)
        finding = by_name(doctor._viewer())["libraries for Qt"]
        assert (finding.status, finding.remedy) == ("note", remedy)
        assert "libxcb-cursor.so.0" in finding.detail

    def test_screen(self, monkeypatch):
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        monkeypatch.setenv("DISPLAY", ":7")
        assert by_name(doctor._viewer())["screen"].detail == "DISPLAY=:7"
        monkeypatch.delenv("DISPLAY")
        assert by_name(doctor._viewer())["screen"].status == "note"

    def test_no_qt(self, monkeypatch):
        hide(monkeypatch, *doctor.QT)
        finding = by_name(doctor._viewer())["Qt"]
        assert (finding.status, finding.remedy) == ("note", doctor.EVERYTHING)


def test_report():
    ok, note = Finding("a", "ok", "1.0"), Finding("bcd", "note", "slow", "mend b")
    missing = Finding("e", "missing", "gone", "mend b")
    assert format_report([ok]) == "ok       a  1.0\n\nAll is well."
    assert format_report([ok, note]).splitlines() == [
        "ok       a    1.0",
        "note     bcd  slow",
        "",
        "The command line is ready.",
        "",
        "To mend it:",
        "  mend b",
    ]
    assert format_report([missing, note]).count("mend b") == 1
    assert "ready" not in format_report([missing])


def test_command(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "examine", lambda: [Finding("a", "note", "slow")])
    assert main(["doctor"]) == 0
    assert "slow" in capsys.readouterr().out
    monkeypatch.setattr(doctor, "examine", lambda: [Finding("a", "missing", "gone", "mend")])
    assert main(["doctor", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == [
        {"name": "a", "status": "missing", "detail": "gone", "remedy": "mend"}
    ]


def test_works_without_torch_and_napari(tmp_path):
    """In a process where neither can be imported at all."""
    code = (
        "import sys\n"
        "for name in ('torch', 'torchvision', 'napari', 'qtpy', 'PyQt6', 'zarr', 'skimage'):\n"
        "    sys.modules[name] = None\n"
        "from napari_instseg.cli import main\n"
        "sys.exit(main(['doctor']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(tmp_path),
    )
    assert done.returncode == 1
    assert done.stderr == ""
    assert "MISSING  torch " in done.stdout
    assert "pip install torch torchvision" in done.stdout
    assert "note     napari" in done.stdout
