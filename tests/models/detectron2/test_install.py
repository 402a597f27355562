"""Detectron2 is put into a fresh environment from the index, or nothing is changed."""

from __future__ import annotations

import csv
import hashlib
import importlib.machinery
import importlib.metadata
import io
import json
import os
import subprocess
import sys
import time
import venv
import zipfile
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest

import napari_instseg
from napari_instseg.cli import main
from napari_instseg.models.detectron2 import environment, install, packing, processes
from napari_instseg.models.detectron2.install import State
from napari_instseg.segmenter import ModelError

#: Left out of the fresh environment: Detectron2 and what it brings.
BROUGHT = ("detectron2", "fvcore", "iopath", "omegaconf", "portalocker", "yacs")


@pytest.fixture
def absent(monkeypatch):
    """Make it look as if Detectron2 were not here."""
    monkeypatch.setattr(install, "state", State)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder where packages are looked for first; no Detectron2 is loaded."""
    monkeypatch.delitem(sys.modules, "detectron2", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def put(folder: Path, version: str = "0.6", maker: str = "") -> Path:
    """Write the shell of an installation."""
    package = folder / "detectron2"
    package.mkdir()
    (package / "__init__.py").write_text(f'import torch\n__version__ = "{version}"\n', "utf-8")
    if maker:
        info = folder / f"detectron2-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: detectron2\nVersion: {version}\n", "utf-8")
        (info / "WHEEL").write_text(f"Wheel-Version: 1.0\nGenerator: {maker}\n", "utf-8")
    return package


class TestState:
    def test_the_users_own(self, place):
        package = put(place, "0.7")
        (package / f"_C{importlib.machinery.EXTENSION_SUFFIXES[0]}").touch()
        assert install.state() == State(True, "0.7", str(package), True, "user")

    def test_ours(self, place):
        package = put(place, maker="napari-instseg 0.1.0")
        assert install.state() == State(True, "0.6", str(package), False, "this program")

    def test_made_by_another_tool(self, place):
        put(place, maker="setuptools (80.0)")
        assert install.state().by == "user"

    def test_a_folder_of_that_name_is_none(self, place, monkeypatch):
        (place / "detectron2").mkdir()
        monkeypatch.setattr(sys, "path", [str(place)])
        assert install.state() == State()

    def test_it_is_not_imported(self, place):
        (put(place) / "__init__.py").write_text("raise RuntimeError", "utf-8")
        assert install.state() == State(True, "", str(place / "detectron2"), False, "user")


class TestPlan:
    def test_it_holds_the_commands(self, absent):
        text = "\n".join(install.plan())
        assert packing.SHA256 in text
        assert str(Path(sys.prefix)) in text
        assert text.count(f"{environment.readable([sys.executable])} -m pip install ") == 3
        assert "--require-hashes" in text
        assert "-m pip uninstall detectron2" in text

    def test_a_dry_run_changes_nothing(self, absent, monkeypatch):
        monkeypatch.setattr(install, "follow", None)
        lines: list[str] = []
        assert not install.install(lines.append, dry_run=True).installed
        assert lines == install.plan()

    def test_what_is_here_is_left_alone(self, place, monkeypatch):
        monkeypatch.setattr(install, "follow", None)
        put(place, "0.7")
        lines: list[str] = []
        assert install.install(lines.append).version == "0.7"
        assert "already in" in lines[0]
        assert install.plan() == lines

    def test_with_uv(self, absent, monkeypatch):
        monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: None)
        monkeypatch.setattr(environment.shutil, "which", lambda name: f"/bin/{name}")
        uv = [line.strip() for line in install.plan() if "/bin/uv pip install" in line]
        assert len(uv) == 3
        assert all(f"--python {environment.readable([sys.executable])}" in line for line in uv)


class TestRefusals:
    def test_neither_pip_nor_uv(self, absent, monkeypatch):
        monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: None)
        monkeypatch.setattr(environment.shutil, "which", lambda name: None)
        with pytest.raises(ModelError, match=r"no pip .*-m ensurepip"):
            install.plan()

    def test_the_operating_systems_python(self, absent, monkeypatch, tmp_path):
        (tmp_path / "EXTERNALLY-MANAGED").touch()
        monkeypatch.setattr(environment.sysconfig, "get_path", lambda name: str(tmp_path))
        monkeypatch.setattr(environment.sys, "base_prefix", sys.prefix)
        monkeypatch.delenv("PIP_BREAK_SYSTEM_PACKAGES", raising=False)
        with pytest.raises(ModelError, match=r"belongs to the operating system.*-m venv"):
            install.install(print)
        monkeypatch.setenv("PIP_BREAK_SYSTEM_PACKAGES", "1")
        assert environment.site_packages() == tmp_path

    def test_read_only(self, absent, monkeypatch, tmp_path):
        nowhere = str(tmp_path / "none")
        monkeypatch.setattr(environment.sysconfig, "get_path", lambda name: nowhere)
        monkeypatch.setattr(environment.sys, "base_prefix", "elsewhere")
        with pytest.raises(ModelError, match=r"nothing can be written to .*none"):
            install.install(print)
        monkeypatch.setattr(environment.sys, "base_prefix", sys.prefix)
        monkeypatch.setattr(environment.site, "ENABLE_USER_SITE", True)
        assert environment.site_packages() == Path(environment.site.getusersitepackages())


def test_all_that_is_installed_is_pinned(place):
    for version in ("1.0", "not a version"):
        info = place / f"Some_Thing-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: Some_Thing\nVersion: {version}\n", "utf-8")
    (place / "numpy-0.1.dist-info").mkdir()
    (place / "numpy-0.1.dist-info" / "METADATA").write_text("Name: NumPy\nVersion: 0.1\n")
    pins = environment.installed()
    assert "some-thing==1.0\n" in pins
    assert "numpy==0.1\n" in pins
    assert sum(pin.startswith("numpy==") for pin in pins) == 1


class TestPacking:
    def test_the_wheel(self, tmp_path):
        package = put(tmp_path)
        (package / "model_zoo" / "configs").mkdir(parents=True)
        (package / "model_zoo" / "configs" / "a.yaml").write_text("A: 1\n")
        (package / "__pycache__").mkdir()
        (package / "__pycache__" / "x.pyc").touch()
        licenses = tmp_path / "pb1_detectron2-0.6.dist-info" / "licenses"
        licenses.mkdir(parents=True)
        (licenses / "LICENSE").write_text("Apache")
        with zipfile.ZipFile(packing.pack(tmp_path, tmp_path, "1.2")) as wheel:
            contents = {name: wheel.read(name) for name in wheel.namelist()}
        info = "detectron2-0.6.dist-info"
        assert sorted(contents) == [
            f"{info}/LICENSE",
            f"{info}/METADATA",
            f"{info}/RECORD",
            f"{info}/WHEEL",
            "detectron2/__init__.py",
            "detectron2/model_zoo/configs/a.yaml",
        ]
        assert b"Generator: napari-instseg 1.2\n" in contents[f"{info}/WHEEL"]
        for name, digest, size in csv.reader(io.StringIO(contents[f"{info}/RECORD"].decode())):
            if digest:
                expected = urlsafe_b64encode(hashlib.sha256(contents[name]).digest())
                assert digest == f"sha256={expected.decode().rstrip('=')}"
                assert int(size) == len(contents[name])

    @pytest.mark.parametrize("package", [False, True])
    def test_another_source_is_refused(self, tmp_path, package):
        (tmp_path / "source").mkdir()
        if package:
            put(tmp_path / "source")
        with pytest.raises(ModelError, match=r"could not be packed: no .*(__init__|configs)"):
            install._pack(tmp_path)


def python(code: str) -> list[str]:
    return [sys.executable, "-u", "-c", code]


class Stop(Exception):  # noqa: N818
    """What a user's click on "Stop" raises."""


class TestProcesses:
    def test_lines_come_as_they_are_said(self):
        said: list[str] = []
        code = "import sys; print('one'); print('zwei µ', file=sys.stderr); print('')"
        env = {**os.environ, "PYTHONIOENCODING": "utf-8"}
        assert processes.follow(python(code), said.append, env=env) == ["one", "zwei µ"]
        assert [line for line in said if line] == ["one", "zwei µ"]

    def test_failure(self):
        with pytest.raises(processes.Failed, match="3") as failed:
            processes.follow(python("print('a'); exit(3)"), len, env=dict(os.environ))
        assert (failed.value.status, failed.value.lines) == (3, ["a"])

    def test_stopped_with_all_it_started(self, tmp_path):
        """In silence too; and what the command started must not go on in its place."""
        mark = tmp_path / "mark"
        child = f"import time; time.sleep(3); open({str(mark)!r}, 'w')"
        code = (
            "import subprocess, sys, time\n"
            f"subprocess.Popen([sys.executable, '-c', {child!r}])\n"
            "print('started')\ntime.sleep(60)"
        )
        seen: list[str] = []

        def report(line: str) -> None:
            seen.append(line)
            if not line and "started" in seen:
                raise Stop

        start = time.monotonic()
        with pytest.raises(Stop):
            processes.follow(python(code), report, env=dict(os.environ))
        assert time.monotonic() - start < 30
        time.sleep(4)
        assert not mark.exists()

    def test_not_stopped_while_it_writes(self, tmp_path):
        mark = tmp_path / "mark"
        code = f"import time; print('Writing'); time.sleep(1); open({str(mark)!r}, 'w')"

        def report(line: str) -> None:
            if line:
                raise Stop

        with pytest.raises(Stop):
            processes.follow(python(code), report, env=dict(os.environ), settled=("Writing",))
        assert mark.exists()


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", "use another index"),
        ("ERROR: ResolutionImpossible: for help visit", "use a new environment"),
        ("error: No solution found when resolving", "use a new environment"),
        ("ERROR: No matching distribution found for setuptools", "whether there is a network"),
        ("OSError: [Errno 28] No space left on device", "Make room"),
        ("Segmentation fault", "--dry-run"),
    ],
)
def test_failures_say_what_to_do(tmp_path, said, advice):
    step = install.Step("Fetch it", tuple(python(f"print({said!r}); exit(1)")))
    with pytest.raises(ModelError) as failed:
        install._run(step, tmp_path, len)
    assert advice in str(failed.value)
    assert str(failed.value).endswith(f"At 'Fetch it' it said:\n  {said}")


def test_remains_are_removed(tmp_path):
    """Of an installation that broke off while it wrote; RECORD comes last."""
    code = f"import os; os.makedirs({str(tmp_path / 'detectron2' / 'x')!r}); exit(1)"
    step = install.Step("Write", tuple(python(code)), writes=True)
    with pytest.raises(ModelError):
        install._write(step, tmp_path, tmp_path, len)
    assert not list(tmp_path.glob("detectron2*"))
    put(tmp_path)
    with pytest.raises(ModelError):
        install._write(step, tmp_path, tmp_path, len)
    assert (tmp_path / "detectron2").is_dir()


class TestCommand:
    def test_dry_run(self, absent, capsys):
        assert main(["install", "detectron2", "--dry-run"]) == 0
        assert packing.SHA256 in capsys.readouterr().out
        assert main(["install", "detectron2", "--dry-run", "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
        assert document["installed"] is False
        assert document["plan"] == install.plan()

    def test_already_here(self, place, capsys):
        put(place, "0.7")
        assert main(["install", "detectron2", "--json"]) == 0
        captured = capsys.readouterr()
        assert json.loads(captured.out)["version"] == "0.7"
        assert "nothing to do" in captured.err
        assert main(["install", "detectron2", "--quiet"]) == 0
        assert capsys.readouterr() == ("", "")

    def test_another_package(self, capsys):
        with pytest.raises(SystemExit, match="2"):
            main(["install", "caffe2"])
        assert "detectron2" in capsys.readouterr().err


def brought(name: str) -> bool:
    """Tell whether a file in site-packages belongs to what is to be installed."""
    return name.lower().replace("_", "-").startswith(BROUGHT) or name == "__pycache__"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory) -> Path:
    """An environment with all that this one has, by links, but without Detectron2."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder, symlinks=os.name != "nt")
    links = folder / "links"
    links.mkdir()
    # A package may be linked, but not written through: pip sees these as installed elsewhere.
    for site in {Path(path) for path in sys.path if Path(path).name.endswith("-packages")}:
        for item in site.iterdir():
            if not brought(item.name) and item.suffix != ".pth":
                try:
                    (links / item.name).symlink_to(item)
                except FileExistsError:
                    continue
                except OSError as error:
                    pytest.skip(f"no links can be made here: {error}")
    ours = Path(napari_instseg.__file__).parents[1]
    target = next(folder.rglob("site-packages"))
    (target / "fresh.pth").write_text(f"{links}\n{ours}\n", "utf-8")
    return folder


def run(folder: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the fresh environment's Python, far from the checkout."""
    scripts = "Scripts" if os.name == "nt" else "bin"
    done = subprocess.run(
        [str(folder / scripts / "python"), *arguments],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=900,
    )
    assert done.returncode == 0 or not check, done.stdout + done.stderr
    return done


def versions(folder: Path) -> dict[str, str]:
    code = (
        "import importlib.metadata as m, json\n"
        "found = {}\n"
        "for d in m.distributions(): found.setdefault(d.name, d.version)\n"
        "print(json.dumps(found))"
    )
    return json.loads(run(folder, "-c", code).stdout)


@pytest.mark.slow
def test_a_real_installation(fresh):
    """By the command, from the index, with the real pip; used; and undone."""
    command = ("-m", "napari_instseg.cli", "install", "detectron2")
    site = next(fresh.rglob("site-packages"))
    before, there = versions(fresh), {item.name for item in site.iterdir()}
    assert not brought("numpy")
    assert "detectron2" not in before
    done = run(fresh, *command, "--json", check=False)
    if "whether there is a network" in done.stderr and not os.environ.get("CI"):
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "installed": True,
        "version": "0.6",
        "location": str(site / "detectron2"),
        "compiled": False,
        "by": "this program",
    }
    after = versions(fresh)
    assert after["detectron2"] == "0.6"
    assert {name: after[name] for name in before} == before, "something else was changed"
    assert len(list((site / "detectron2" / "model_zoo" / "configs").rglob("*.yaml"))) == 92
    assert (site / "detectron2-0.6.dist-info" / "LICENSE").is_file()
    assert not (site / "tools").exists()

    code = (
        "from napari_instseg.models.detectron2 import bridges\n"
        "print(bridges.load().__file__)\n"
        "from detectron2 import model_zoo\n"
        "model_zoo.get_config('COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml')"
    )
    assert run(fresh, "-W", "error", "-c", code).stdout.strip() == str(
        site / "detectron2" / "__init__.py"
    )
    assert "nothing to do" in run(fresh, *command).stderr

    run(fresh, "-m", "pip", "uninstall", "-y", "detectron2")
    left = {item.name for item in site.iterdir()} - there
    assert not [name for name in left if "detectron2" in name]
    assert all(brought(name) for name in left), left
