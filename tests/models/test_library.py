"""The user's own models: added, listed, removed, and what damage does."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from napari_instseg.models import library, prompters, registry
from napari_instseg.models.config_text import bases_of, outputs_of
from napari_instseg.models.downloads import file_sha256
from napari_instseg.segmenter import ModelError

CONFIG = "MODEL:\n  META_ARCHITECTURE: GeneralizedRCNN\n  MASK_ON: true\n"


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv(library.HOME, str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A folder with weights of both kinds, a config and names."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"safe" * 100)
    (folder / "model.pth").write_bytes(b"torch" * 100)
    (folder / "config.yaml").write_text(CONFIG)
    (folder / "names.txt").write_text("cell\n")
    return folder


def add_detectron2(mine: Path, name: str = "cells", **options):
    return library.add(
        name,
        mine / "model.pth",
        config=str(mine / "config.yaml"),
        categories=mine / "names.txt",
        **options,
    )


class TestAdd:
    def test_weights_of_ours_are_copied(self, home, mine):
        entry = library.add("my cells", mine / "model.safetensors", title="Cells", diameter=20)
        assert library.entries() == (entry,)
        assert registry.find("my cells") == entry
        assert entry.path == home / "models" / "my cells" / "model.safetensors"
        assert entry.sha256 == file_sha256(mine / "model.safetensors")
        assert entry.loader == registry.TORCHVISION
        assert entry.requires == ("torch", "torchvision")
        assert (entry.title, entry.diameter, entry.group) == ("Cells", 20, "yours")
        assert (entry.config, entry.categories, entry.size) == ("", None, 400)
        shutil.rmtree(mine)
        assert library.entries()[0].present

    def test_a_detectron2_model_is_copied_with_all_its_files(self, home, mine):
        entry = add_detectron2(mine, description="Cells of mine", license="CC0")
        folder = home / "models" / "cells"
        assert entry.path == folder / "model.pth"
        assert entry.config == str(folder / "config" / "config.yaml")
        assert entry.categories == folder / "categories.txt"
        assert entry.loader == registry.DETECTRON2
        assert entry.requires == ("torch", "torchvision", "detectron2")
        assert (entry.outputs, entry.license) == (("instances",), "CC0")
        shutil.rmtree(mine)
        assert Path(entry.config).read_text() == CONFIG
        assert entry.present

    def test_the_whole_folder_can_be_moved(self, home, mine, monkeypatch, tmp_path):
        add_detectron2(mine)
        shutil.rmtree(mine)
        home.rename(tmp_path / "moved")
        monkeypatch.setenv(library.HOME, str(tmp_path / "moved"))
        assert library.entries()[0].path == tmp_path / "moved" / "models" / "cells" / "model.pth"
        assert library.entries()[0].present

    def test_files_can_stay_where_they_are(self, home, mine):
        entry = add_detectron2(mine, copy=False)
        assert entry.path == mine / "model.pth"
        assert entry.config == str(mine / "config.yaml")
        assert not (home / "models").exists()
        (mine / "model.pth").unlink()
        assert "needs" in library.entries()[0].missing()
        assert library.remove("cells") == 0
        assert (mine / "config.yaml").exists()

    def test_a_config_of_the_zoo(self, mine):
        name = "COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml"
        entry = library.add("fine-tuned", mine / "model.pth", config=name)
        assert entry.config == name
        assert library.entries() == (entry,)

    def test_bases_of_a_config_come_along(self, mine):
        (mine / "sub").mkdir()
        (mine / "base.yaml").write_text("MODEL:\n  META_ARCHITECTURE: RetinaNet\n")
        (mine / "sub" / "mid.yaml").write_text('_BASE_: "../Base-RetinaNet.yaml"\n')
        (mine / "config.yaml").write_text('_BASE_: ["base.yaml", sub/mid.yaml]  # both\n')
        entry = add_detectron2(mine)
        folder = Path(entry.config).parent
        copied = {p.relative_to(folder).as_posix() for p in folder.rglob("*.yaml")}
        assert copied == {"config.yaml", "base.yaml", "sub/mid.yaml"}
        assert entry.outputs == ("boxes",)

    def test_a_base_that_a_copy_would_lose_is_refused_but_not_a_link(self, home, mine):
        (mine.parent / "base.yaml").write_text(CONFIG)
        (mine / "config.yaml").write_text("_BASE_: ../base.yaml\n")
        with pytest.raises(ModelError, match=r"base\.yaml, outside of its folder.*--link"):
            add_detectron2(mine)
        assert not (home / "models").exists()
        assert add_detectron2(mine, copy=False).outputs == ("instances",)


class TestRefused:
    @pytest.mark.parametrize(
        "name",
        [
            "",
            " ",
            "a/b",
            "a\\b",
            "..",
            ".hidden",
            "a.",
            "a ",
            "con",
            "NUL.x",
            "x" * 65,
            "a\nb",
            "a:b",
        ],
    )
    def test_names_that_are_no_folder_everywhere(self, mine, name):
        with pytest.raises(ModelError, match="expected a name of up to 64"):
            library.add(name, mine / "model.safetensors")

    @pytest.mark.parametrize("name", ["a.yaml", "b.PTH", "c.safetensors"])
    def test_names_that_look_like_files(self, mine, name):
        with pytest.raises(ModelError, match="looks like a file"):
            library.add(name, mine / "model.safetensors")

    @pytest.mark.parametrize("name", ["nuclei", "Nuclei", "mask_rcnn_R_50_FPN_3x"])
    def test_names_of_the_package(self, mine, name):
        with pytest.raises(ModelError, match="is a model of this package"):
            library.add(name, mine / "model.safetensors")

    def test_the_names_of_the_package_are_known(self):
        assert (registry.built_in().name, prompters.built_in().name) == library.BUILT_IN_NAMES

    def test_a_name_that_is_there(self, mine):
        library.add("cells", mine / "model.safetensors")
        with pytest.raises(ModelError, match="a model 'Cells' already: remove it first"):
            library.add("Cells", mine / "model.safetensors")
        assert library.entries()[0].present

    @pytest.mark.parametrize("name", ["Zellkörper 2", "x", "a.b", "C++ -_", "細胞"])
    def test_good_names(self, mine, name):
        assert library.add(name, mine / "model.safetensors").name == name

    @pytest.mark.parametrize(
        ("file", "config", "says"),
        [
            ("no.pth", "config.yaml", "weights: expected a file at"),
            ("model.pth", None, "expected the Detectron2 config"),
            ("model.pth", "no.yaml", "config: expected a file at"),
            ("model.pth", "config.py", "LazyConfig"),
            ("model.pth", "model.pth", "ends with .yaml"),
            ("model.bin", "config.yaml", "expected weights that end with"),
            ("model.safetensors", "config.yaml", "describes itself"),
        ],
    )
    def test_files_that_do_not_fit(self, home, mine, file, config, says):
        (mine / "model.bin").write_bytes(b"x")
        with pytest.raises(ModelError, match=says):
            library.add("cells", mine / file, config=config and str(mine / config))
        assert library.entries() == ()
        assert not (home / "models").exists()

    @pytest.mark.parametrize("diameter", [0, -1, float("nan"), float("inf")])
    def test_diameters(self, mine, diameter):
        with pytest.raises(ModelError, match="diameter: expected"):
            library.add("cells", mine / "model.safetensors", diameter=diameter)

    def test_a_copy_that_fails_leaves_nothing(self, home, mine, monkeypatch):
        def full(source: Path, target: Path) -> None:
            Path(target).write_bytes(b"half")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(shutil, "copyfile", full)
        with pytest.raises(ModelError, match="No space left"):
            library.add("cells", mine / "model.safetensors")
        assert library.entries() == ()
        assert list((home / "models").iterdir()) == []


class TestRemove:
    def test_copies_go_and_the_users_files_stay(self, home, mine):
        add_detectron2(mine)
        library.add("other", mine / "model.safetensors")
        assert library.remove("cells") == 500 + len(CONFIG) + 5
        assert [entry.name for entry in library.entries()] == ["other"]
        assert [path.name for path in (home / "models").iterdir()] == ["other"]
        assert len(list(mine.iterdir())) == 4

    @pytest.mark.parametrize("name", ["nothing", "..", ""])
    def test_what_is_not_there(self, mine, name):
        library.add("cells", mine / "model.safetensors")
        with pytest.raises(ModelError, match="of yours: expected one of 'cells'"):
            library.remove(name)

    def test_a_doctored_list_cannot_remove_other_folders(self, home, mine):
        library.add("cells", mine / "model.safetensors")
        file = home / "models.json"
        content = json.loads(file.read_text())
        content["models"]["../../mine"] = content["models"]["cells"]
        file.write_text(json.dumps(content))
        assert len(library.problems()) == 1
        assert library.remove("../../mine") == 0
        assert library.problems() == ()
        assert mine.is_dir()
        assert [entry.name for entry in library.entries()] == ["cells"]


class TestDamage:
    def test_nothing_yet_is_fine(self):
        assert library.entries() == ()
        assert library.problems() == ()

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 9, "models": {}}', "\0", "{}"])
    def test_a_damaged_list_is_said_and_never_overwritten(self, home, mine, text):
        home.mkdir()
        (home / "models.json").write_text(text)
        assert library.entries() == ()
        assert "the list of your models is damaged" in library.problems()[0]
        assert registry.find("nuclei").present
        for change in (lambda: add_detectron2(mine), lambda: library.remove("cells")):
            with pytest.raises(ModelError, match="is damaged"):
                change()
        assert (home / "models.json").read_text() == text

    @pytest.mark.parametrize("record", [None, {}, {"weights": 3}, "x", []])
    def test_a_damaged_record_does_not_hide_the_others(self, home, mine, record):
        library.add("cells", mine / "model.safetensors")
        file = home / "models.json"
        content = json.loads(file.read_text())
        content["models"]["bad"] = record
        file.write_text(json.dumps(content))
        assert [entry.name for entry in library.entries()] == ["cells"]
        assert "your model 'bad' is damaged" in library.problems()[0]
        library.remove("bad")
        assert library.problems() == ()

    @pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
    def test_a_folder_that_cannot_be_written(self, home, mine):
        home.mkdir(mode=0o500)
        with pytest.raises(ModelError, match="cannot be written"):
            library.add("cells", mine / "model.safetensors")


class TestConfigText:
    @pytest.mark.parametrize(
        ("text", "outputs"),
        [
            (CONFIG, ("instances",)),
            ("MODEL:\n  MASK_ON: False\n", ("boxes",)),
            ("MODEL: {}\n", ("boxes",)),
            ('MODEL:\n  META_ARCHITECTURE: "PanopticFPN"\n', ("instances", "semantic", "panoptic")),
            ("MODEL:\n  META_ARCHITECTURE: SemanticSegmentor\n", ("semantic",)),
            ("_BASE_: ../Base-RetinaNet.yaml\n", ("boxes",)),
            ("_BASE_: ../COCO-PanopticSegmentation/panoptic_fpn_R_50_3x.yaml", ("instances",)),
            ("_BASE_: config.yaml\nMODEL:\n  MASK_ON: yes\n", ("instances",)),
        ],
    )
    def test_what_a_config_gives(self, tmp_path, text, outputs):
        path = tmp_path / "config.yaml"
        path.write_text(text)
        assert outputs_of(path)[: len(outputs)] == outputs

    @pytest.mark.parametrize(
        "text",
        [
            "_BASE_: https://example.org/x.yaml\n",
            "{_BASE_: x.yaml}\n",
            "_BASE_:\n  - x.yaml\n",
            '"_BASE_": x.yaml\n',
            "_BASE_: /etc/passwd\n",
        ],
    )
    def test_bases_that_are_not_plain_are_refused(self, tmp_path, text):
        path = tmp_path / "config.yaml"
        path.write_text(text)
        with pytest.raises(ModelError, match="write it into one file"):
            bases_of(path)

    def test_a_config_that_is_no_text(self, tmp_path):
        path = tmp_path / "config.yaml"
        path.write_bytes(b"\xff\xfe\x00")
        with pytest.raises(ModelError, match="cannot be read as a YAML config"):
            outputs_of(path)
