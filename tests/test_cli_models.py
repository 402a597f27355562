"""``napari-instseg models`` and its actions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from napari_instseg.cli import main
from napari_instseg.models import downloads, library, zoo
from napari_instseg.segmenter import ModelError

FULL = "COCO-Detection/retinanet_R_50_FPN_1x"


@pytest.fixture(autouse=True)
def folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv(downloads.CACHE, str(tmp_path / "cache"))
    monkeypatch.setenv(library.HOME, str(tmp_path / "home"))
    return tmp_path


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"x" * 1000)
    return path


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Downloads that come at once; gives the URLs that were asked for."""
    asked: list[str] = []

    def download(url, part, name, report):
        asked.append(url)
        report(3, 6, f"downloading {name}")
        part.write_bytes(b"weights")

    monkeypatch.setattr("napari_instseg.models.transfer.download", download)
    # What comes at once has another MD5 than the real file.
    real = downloads.fetch
    monkeypatch.setattr(downloads, "fetch", lambda *a, **o: real(*a, **{**o, "md5": ""}))
    return asked


def put_weights(name: str = FULL, content: bytes = b"weights") -> Path:
    path = zoo.find(name).path
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


def document(capsys, *arguments: str):
    assert main(["models", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


class TestList:
    def test_grouped_for_people(self, capsys, mine):
        library.add("my cells", mine, description="From the lab")
        put_weights()
        assert main(["models"]) == 0
        out = capsys.readouterr().out
        places = [
            out.index(text)
            for text in ("Built in", "  nuclei ", "Detectron2's zoo", "Segment Anything", "Yours")
        ]
        assert places == sorted(places)
        lines = out.splitlines()
        here = next(line for line in lines if FULL in line)
        assert "boxes" in here
        assert "COCO" in here
        assert here.endswith("  here")
        other = next(line for line in lines if "mask_rcnn_R_50_FPN_3x " in line)
        assert "about 178 MB" in other
        assert other.endswith("  not here")
        assert "CC BY-SA 3.0" in out
        assert out.index("my cells") < out.index("From the lab")
        assert max(map(len, lines)) < 130

    def test_for_programs(self, capsys, mine):
        library.add("my cells", mine)
        models = document(capsys)
        assert models == document(capsys, "list")
        at_once = [m["name"] for m in models if m["group"] in ("built-in", "yours")]
        assert at_once == ["nuclei", "sam-nuclei", "my cells"]
        assert "sam-vit-b" in [m["name"] for m in models if m["group"] == "segment-anything"]
        assert models[0]["ready"]
        assert models[0]["here"]
        one = next(m for m in models if m["name"] == FULL)
        assert (one["outputs"], one["dataset"], one["here"]) == (["boxes"], "COCO", False)
        assert one["url"].endswith(".pkl")
        assert not one["ready"]
        assert models[-1]["bytes"] == 1000

    def test_only_some(self, capsys):
        panoptic = document(capsys, "--task", "panoptic")
        assert {tuple(m["outputs"]) for m in panoptic} == {("instances", "semantic", "panoptic")}
        found = document(capsys, "--search", "LVIS x101")
        assert found == document(capsys, "list", "--search", "lvis X101")
        assert [m["dataset"] for m in found] == ["LVIS v0.5"]
        assert main(["models", "--search", "unheard-of"]) == 0
        assert capsys.readouterr().out == "no model is like that\n"

    def test_filters_before_and_after_the_action(self, capsys):
        assert main(["models", "--task", "boxes", "--json", "list", "--search", "retinanet"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert len(found) == 3

    def test_a_damaged_list_of_the_users_is_said(self, capsys, folders):
        (folders / "home").mkdir()
        (folders / "home" / "models.json").write_text("{")
        assert main(["models"]) == 0
        streams = capsys.readouterr()
        assert "nuclei" in streams.out
        assert "the list of your models is damaged" in streams.err

    def test_what_is_missing_is_said_once(self, capsys, monkeypatch):
        monkeypatch.setattr(zoo, "DETECTRON2_REQUIRES", ("no_such_module",))
        zoo._entries.cache_clear()
        try:
            assert main(["models"]) == 0
        finally:
            zoo._entries.cache_clear()
        assert capsys.readouterr().out.count("needs no_such_module") == 1


class TestDownload:
    def test_several(self, capsys, network):
        names = ["retinanet_R_50_FPN_1x", "mask_rcnn_R_50_FPN_3x.yaml"]
        assert main(["models", "download", *names]) == 0
        assert len(network) == 2
        assert str(zoo.find(FULL).path) in capsys.readouterr().out
        assert zoo.find(FULL).present
        found = document(capsys, "download", FULL)
        assert found[0]["name"] == FULL
        assert len(found[0]["sha256"]) == 64
        assert len(network) == 2

    def test_damaged_weights_are_downloaded_again(self, capsys, network):
        path = put_weights()
        downloads.verify(path)
        path.write_bytes(b"dust")
        assert main(["models", "download", FULL]) == 0
        assert "is damaged" in capsys.readouterr().err
        assert path.read_bytes() == b"weights"
        assert len(network) == 1

    def test_one_that_fails_does_not_stop_the_others(self, capsys, network, monkeypatch):
        real = downloads.fetch_weights

        def fetch(entry, report=None):
            if entry.name == FULL:
                raise ModelError("no network here")
            return real(entry, report)

        monkeypatch.setattr(downloads, "fetch_weights", fetch)
        assert main(["models", "download", FULL, "mask_rcnn_R_50_FPN_3x"]) == 1
        assert f"{FULL}: no network here" in capsys.readouterr().err
        assert len(network) == 1

    def test_wrong_names_are_said_before_anything_comes(self, capsys, network):
        assert main(["models", "download", FULL, "mask_rcnn_R_50_FPN_1x"]) == 1
        assert "stands for several models" in capsys.readouterr().err
        assert main(["models", "download", "nuclei"]) == 1
        assert network == []

    def test_stopped_with_ctrl_c(self, capsys, monkeypatch):
        def stop(entry, report=None):
            raise KeyboardInterrupt

        monkeypatch.setattr(downloads, "fetch_weights", stop)
        assert main(["models", "download", FULL]) == 130
        assert "the same command goes on from there" in capsys.readouterr().err


class TestYourOwn:
    def test_added_listed_removed(self, capsys, mine):
        add = ["models", "add", "cells", "--weights", str(mine), "--diameter", "20"]
        assert main([*add, "--title", "My cells", "--license", "CC0"]) == 0
        assert "segment --model 'cells'" in capsys.readouterr().out
        entry = library.entries()[0]
        assert (entry.title, entry.license, entry.diameter) == ("My cells", "CC0", 20)
        assert main(add) == 1
        assert "remove it first" in capsys.readouterr().err
        assert main(["models", "remove", "cells"]) == 0
        assert library.entries() == ()
        assert mine.exists()

    def test_linked_with_a_config(self, capsys, tmp_path):
        for name, text in (("m.pth", "x"), ("c.yaml", "MODEL: {}"), ("n.txt", "cell")):
            (tmp_path / name).write_text(text)
        files = ["--weights", "m.pth", "--config", "c.yaml", "--categories", "n.txt"]
        files = [str(tmp_path / word) if "." in word else word for word in files]
        made = document(capsys, "add", "cells", *files, "--link")
        assert made["file"] == str(tmp_path / "m.pth")
        assert made["config"] == str(tmp_path / "c.yaml")
        assert made["categories"] == str(tmp_path / "n.txt")
        assert main(["models", "remove", "cells"]) == 0
        assert "your own files stay" in capsys.readouterr().out

    def test_wrong_options(self, capsys, mine):
        for options in (["x"], ["x", "--weights", str(mine), "--diameter", "0"], []):
            with pytest.raises(SystemExit) as end:
                main(["models", "add", *options])
            assert end.value.code == 2


class TestRemove:
    def test_weights_of_the_zoo(self, capsys):
        path = put_weights()
        assert main(["models", "remove", "retinanet_R_50_FPN_1x"]) == 0
        assert not path.exists()
        assert main(["models", "remove", FULL]) == 0
        assert "its weights are not here" in capsys.readouterr().out

    def test_what_cannot_be_removed(self, capsys):
        assert main(["models", "remove", "nuclei"]) == 1
        assert "comes with the package" in capsys.readouterr().err
        assert main(["models", "remove", "unheard-of"]) == 1
        assert "there is no model 'unheard-of' of yours" in capsys.readouterr().err


def test_where_things_are(capsys, folders, mine):
    library.add("cells", mine)
    path = put_weights(content=b"x" * 2_000_000)
    assert main(["models", "where"]) == 0
    out = capsys.readouterr().out
    assert f"downloads: {folders / 'cache'} (2.0 MB; set with NAPARI_INSTSEG_CACHE)" in out
    assert str(path) in out
    assert str(folders / "home" / "models" / "cells") in out
    assert document(capsys, "where")["downloads"] == {
        "folder": str(folders / "cache"),
        "bytes": 2_000_000,
    }
    assert document(capsys, "where", FULL)["file"] == str(path)
    path.unlink()
    assert main(["models", "where", FULL]) == 0
    out = capsys.readouterr().out
    assert "not here" in out
    assert "from https://dl.fbaipublicfiles.com/" in out
