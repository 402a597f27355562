"""Configs: those of the zoo as Detectron2 reads them, those of strangers without running them."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import malicious
import pytest

if importlib.util.find_spec("detectron2") is None:
    pytest.skip("needs Detectron2: napari-instseg install detectron2", allow_module_level=True)

from napari_instseg.models.detectron2 import bridges, support
from napari_instseg.models.detectron2.config import NEWER_KEYS, read_config, zoo_config
from napari_instseg.models.detectron2.config_files import DEPTH, FILES, zoo_folder
from napari_instseg.segmenter import ModelError

bridges.load()
MASK_RCNN = "COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x"
#: What the zoo has and this program cannot use, by a word in the reason.
REFUSED = {
    "fast_rcnn": "LOAD_PROPOSALS",
    "keypoint": "KEYPOINT_ON",
    "Keypoint": "KEYPOINT_ON",
    "rpn_R": "regions, not objects",
}


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> NoReturn:
        pytest.fail("a connection was attempted")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def in_zoo(text: str = "") -> str:
    """A small config on a zoo's base."""
    return f"_BASE_: ../Base-RCNN-FPN.yaml\n{text}"


# ------------------------------------------------------------------------------------- the zoo

ZOO = sorted(str(path.relative_to(zoo_folder())) for path in zoo_folder().rglob("*.yaml"))


@pytest.mark.parametrize("name", ZOO)
def test_the_zoo_reads_as_with_detectron2(name: str) -> None:
    """Detectron2's own reader evaluates one expression in it, which this package trusts."""
    from detectron2.config import get_cfg

    reasons = [reason for part, reason in REFUSED.items() if part in name]
    if reasons:
        with pytest.raises(ModelError, match=reasons[0]):
            zoo_config(name)
        return
    theirs = get_cfg()
    newer = {key for key in NEWER_KEYS if not has(theirs, key)}
    theirs.merge_from_file(str(zoo_folder() / name))
    theirs.MODEL.DEVICE, theirs.MODEL.WEIGHTS = "cpu", ""
    ours = zoo_config(name.removesuffix(".yaml"))
    for key in newer:
        section, last = parent(ours, key)
        assert section.pop(last) == NEWER_KEYS[key]
    assert type(ours) is type(theirs)
    assert ours == theirs


def parent(cfg: Any, key: str) -> tuple[Any, str]:
    *sections, last = key.split(".")
    for section in sections:
        cfg = cfg[section]
    return cfg, last


def has(cfg: Any, key: str) -> bool:
    section, last = parent(cfg, key)
    return last in section


def test_the_list_of_refused_ones_is_as_long_as_expected() -> None:
    assert len(ZOO) >= 92
    assert sum(any(part in name for part in REFUSED) for name in ZOO) <= 18


@pytest.mark.parametrize("name", ["none", "../defaults", "/etc/passwd", "COCO-Detection"])
def test_a_name_that_the_zoo_has_not(name: str) -> None:
    with pytest.raises(ModelError, match="has no config"):
        zoo_config(name)


# ------------------------------------------------------------------------------ a user's config


def test_a_dumped_config_is_read_as_with_detectron2(tmp_path: Path) -> None:
    """As Detectron2's main branch dumps it, too: with its newer keys."""
    cfg = zoo_config("COCO-Detection/retinanet_R_50_FPN_1x")
    cfg.MODEL.RETINANET.NUM_CLASSES = 3
    cfg.MODEL.DEVICE, cfg.MODEL.WEIGHTS = "cuda", "https://example.org/model.pkl"
    assert all(has(cfg, key) for key in NEWER_KEYS)
    path = write(tmp_path / "config.yaml", cfg.dump())
    read = read_config(path)
    assert (read.MODEL.DEVICE, read.MODEL.WEIGHTS) == ("cpu", "")
    cfg.merge_from_file(str(path), allow_unsafe=False)
    cfg.MODEL.DEVICE, cfg.MODEL.WEIGHTS = "cpu", ""
    assert read == cfg


def test_a_short_config_takes_the_rest_from_bases(tmp_path: Path) -> None:
    write(tmp_path / "bases" / "mine.yaml", in_zoo("MODEL: {MASK_ON: True}\nSEED: 3\n"))
    path = write(
        tmp_path / "config.yaml",
        "_BASE_: bases/mine.yaml\nMODEL: {ROI_HEADS: {NUM_CLASSES: 2}}\nSEED: 4\n",
    )
    cfg = read_config(path)
    assert (cfg.MODEL.MASK_ON, cfg.MODEL.ROI_HEADS.NUM_CLASSES, cfg.SEED) == (True, 2, 4)
    assert cfg.MODEL.BACKBONE.NAME == "build_resnet_fpn_backbone"


def test_the_last_of_several_bases_wins(tmp_path: Path) -> None:
    for i in (1, 2):
        write(tmp_path / f"{i}.yaml", f"SEED: {i}\nTEST: {{EVAL_PERIOD: {i}}}\n")
    path = write(tmp_path / "config.yaml", "_BASE_: [1.yaml, 2.yaml]\nTEST: {EVAL_PERIOD: 5}\n")
    cfg = read_config(path)
    assert (cfg.SEED, cfg.TEST.EVAL_PERIOD) == (2, 5)


def test_a_base_of_the_zoo_is_found_in_the_package(tmp_path: Path) -> None:
    want = zoo_config(MASK_RCNN)
    text = (zoo_folder() / f"{MASK_RCNN}.yaml").read_text()
    # Alone, in a checkout of the zoo, and with an unchanged copy of the base beside it.
    assert read_config(write(tmp_path / "a" / "config.yaml", text)) == want
    base = (zoo_folder() / "Base-RCNN-FPN.yaml").read_text()
    write(tmp_path / "Base-RCNN-FPN.yaml", base)
    assert read_config(write(tmp_path / "b" / "config.yaml", text)) == want
    write(tmp_path / "Base-RCNN-FPN.yaml", base + "SEED: 3\n")
    with pytest.raises(ModelError, match="leaves its folder"):
        read_config(tmp_path / "b" / "config.yaml")


def test_an_old_config_is_upgraded_as_detectron2_does(tmp_path: Path) -> None:
    from detectron2.config import get_cfg

    path = write(
        tmp_path / "config.yaml",
        "VERSION: 1\nMODEL: {WEIGHT: x.pkl, RPN: {ANCHOR_SIZES: [[16, 32]]}}\n"
        "TEST: {DETECTIONS_PER_IMG: 50}\n",
    )
    theirs = get_cfg()
    theirs.merge_from_file(str(path))
    ours = read_config(path)
    assert ours.MODEL.ANCHOR_GENERATOR.SIZES == [[16, 32]]
    assert ours.TEST.DETECTIONS_PER_IMAGE == 50
    theirs.MODEL.DEVICE, theirs.MODEL.WEIGHTS = "cpu", ""
    newer = {key: NEWER_KEYS[key] for key in NEWER_KEYS if not has(theirs, key)}
    for key, value in newer.items():
        section, last = parent(theirs, key)
        section[last] = value
    assert ours == theirs


@pytest.mark.parametrize("version", [-1, 3, 10**9, "'2'", "[2]"])
def test_an_unknown_version_is_refused(tmp_path: Path, version: object) -> None:
    path = write(tmp_path / "config.yaml", f"VERSION: {version}\n")
    with pytest.raises(ModelError, match="VERSION"):
        read_config(path)


def test_projects_keys_are_known_where_they_are_used(tmp_path: Path) -> None:
    pointrend = read_config(
        write(
            tmp_path / "pointrend.yaml",
            in_zoo(
                "MODEL:\n  MASK_ON: True\n"
                "  ROI_MASK_HEAD: {NAME: PointRendMaskHead, POINT_HEAD_ON: True, POOLER_TYPE: ''}\n"
                "  POINT_HEAD: {NUM_CLASSES: 3}\n  ROI_HEADS: {NUM_CLASSES: 3}\n"
                "INPUT: {CROP: {SINGLE_CATEGORY_MAX_AREA: 0.9}}\n"
            ),
        )
    )
    assert pointrend.MODEL.POINT_HEAD.SUBDIVISION_STEPS == 5
    assert "INS_EMBED_HEAD" not in pointrend.MODEL
    assert "ASPP_CHANNELS" not in pointrend.MODEL.SEM_SEG_HEAD
    deeplab = read_config(
        write(
            tmp_path / "deeplab.yaml",
            "MODEL:\n  META_ARCHITECTURE: PanopticDeepLab\n"
            "  BACKBONE: {NAME: build_resnet_deeplab_backbone}\n"
            "  SEM_SEG_HEAD: {NAME: PanopticDeepLabSemSegHead, ASPP_CHANNELS: 64}\n",
        )
    )
    assert deeplab.MODEL.SEM_SEG_HEAD.ASPP_CHANNELS == 64
    assert deeplab.MODEL.PANOPTIC_DEEPLAB.TOP_K_INSTANCE == 200
    semantic = read_config(
        write(
            tmp_path / "semantic.yaml",
            "MODEL:\n  META_ARCHITECTURE: SemanticSegmentor\n"
            "  SEM_SEG_HEAD: {NAME: DeepLabV3PlusHead}\n",
        )
    )
    assert semantic.MODEL.RESNETS.STEM_TYPE == "deeplab"
    assert "INS_EMBED_HEAD" not in semantic.MODEL


CANNOT = {
    "MODEL: {KEYPOINT_ON: True}": "KEYPOINT_ON",
    "MODEL: {LOAD_PROPOSALS: True}": "take a Faster R-CNN",
    "MODEL: {PROPOSAL_GENERATOR: {NAME: PrecomputedProposals}}": "take a Faster R-CNN",
    "MODEL: {META_ARCHITECTURE: ProposalNetwork}": "regions, not objects",
    "MODEL: {PROPOSAL_GENERATOR: {NAME: RRPN}}": "rotated boxes",
    "MODEL: {ANCHOR_GENERATOR: {NAME: RotatedAnchorGenerator}}": "rotated boxes",
    "MODEL: {ROI_HEADS: {NAME: RROIHeads}}": "rotated boxes",
    "MODEL: {META_ARCHITECTURE: os.system}": "expected one of GeneralizedRCNN",
    "MODEL: {BACKBONE: {NAME: build_my_backbone}}": r"'build_my_backbone': expected one of build_",
    "MODEL: {BACKBONE: {NAME: build_vit_fpn_backbone_simple}}": "main branch",
    "MODEL: {BACKBONE: {NAME: D2SwinTransformer}}": "main branch",
    "MODEL: {SWIN: {EMBED_DIM: 96}}": r"MODEL\.SWIN.*main branch",
    "MODEL: {MVIT: {X: 1}}": "main branch",
    "MODEL: {MASK_ON: True, ROI_MASK_HEAD: {NAME: MyHead}}": r"ROI_MASK_HEAD\.NAME is 'MyHead'",
    "INPUT: {FORMAT: L}": r"INPUT\.FORMAT is 'L'",
    "MODEL: {PIXEL_MEAN: [1.0]}": "PIXEL_MEAN has 1 numbers",
}


@pytest.mark.parametrize(("text", "reason"), CANNOT.items(), ids=list(CANNOT))
def test_a_model_that_cannot_be_run_is_refused_with_the_reason(
    tmp_path: Path, text: str, reason: str
) -> None:
    with pytest.raises(ModelError, match=reason):
        read_config(write(tmp_path / "config.yaml", text))


def test_a_loss_of_the_main_branch_is_refused_where_it_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "c.yaml", "MODEL: {ROI_BOX_HEAD: {USE_SIGMOID_CE: True}}\n")
    for known in (False, True):
        monkeypatch.setattr(support, "_knows_sigmoid", lambda known=known: known)
        if known:
            assert read_config(path).MODEL.ROI_BOX_HEAD.USE_SIGMOID_CE
        else:
            with pytest.raises(ModelError, match="build of its main branch"):
                read_config(path)


def test_unknown_keys_are_named(tmp_path: Path) -> None:
    keys = "".join(f"  KEY{i}: 1\n" for i in range(8))
    path = write(tmp_path / "config.yaml", f"MODEL:\n{keys}  MASK_ON: True\nMY: {{KEY: 1}}\n")
    with pytest.raises(ModelError, match=r"MODEL\.KEY0, .*MODEL\.KEY4 and 4 more.*does not know"):
        read_config(path)


WRONG = {
    "": "expected keys such as MODEL",
    "[1, 2]": "expected keys such as MODEL",
    "text": "expected keys such as MODEL",
    "MODEL: 3": "no valid Detectron2 config",
    "MODEL: {MASK_ON: [1]}": "no valid Detectron2 config.*MASK_ON",
    "MODEL: {ROI_HEADS: {NUM_CLASSES: two}}": "no valid Detectron2 config.*NUM_CLASSES",
    "1: 2": "the key 1",
    "MODEL: {1: 2}": "the key 1 in MODEL",
    "SEED: " + "'" + "(" * 6000 + "'": "has 6000 characters",
    # How deep Python's parser goes is another matter in each version.
    "OUTPUT_DIR: '" + "-" * 4999 + "1'": "",
    "OUTPUT_DIR: '" + "[" * 4000 + "'": "",
    "SEED: '" + "9" * 4999 + "'": "no valid Detectron2 config",
    "MODEL: {_BASE_: /etc/passwd}": "does not know",
}


@pytest.mark.parametrize(("text", "reason"), WRONG.items(), ids=range(len(WRONG)))
@pytest.mark.filterwarnings("ignore")
def test_a_file_that_is_no_config_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = write(tmp_path / "config.yaml", text)
    if not reason:
        with suppress(ModelError):
            assert read_config(path).OUTPUT_DIR
        return
    with pytest.raises(ModelError, match=reason) as caught:
        read_config(path)
    assert str(path) in str(caught.value)


# ------------------------------------------------------------------------- a stranger's config


@pytest.mark.parametrize("file", malicious.YAML.values(), ids=list(malicious.YAML))
def test_a_malicious_config_is_refused_and_leaves_no_trace(
    tmp_path: Path, file: malicious.File
) -> None:
    canary, path = tmp_path / "canary", tmp_path / "config.yaml"
    path.write_bytes(file.content(canary))
    with pytest.raises(ModelError, match=r"config\.yaml"):
        read_config(path)
    # As a base it is no better.
    user = write(tmp_path / "mine.yaml", "_BASE_: config.yaml\n")
    with pytest.raises(ModelError, match=r"config\.yaml"):
        read_config(user)
    assert sorted(tmp_path.iterdir()) == [path, user]


BASES = {
    "absolute path": "/etc/passwd",
    "above its folder": "../secret.yaml",
    "far above": "../../../../../../../etc/passwd",
    "down and above": "bases/../../secret.yaml",
    "home": "~/secret.yaml",
    "http": "http://127.0.0.1:9/base.yaml",
    "https": "https://example.org/base.yaml",
    "Detectron2's own scheme": "detectron2://ImageNetPretrained/MSRA/R-50.pkl",
    "file URL": "file:///etc/passwd",
    "Windows drive": "C:/secret.yaml",
    "Windows share": "'\\\\server\\share\\base.yaml'",
    "link out of the folder": "link.yaml",
    "link to a folder": "linked/secret.yaml",
    "a number": "3",
    "a mapping": "{a: b}",
    "not there": "none.yaml",
    "a folder": "bases",
    "a program": "base.py",
}


@pytest.mark.parametrize("base", BASES.values(), ids=list(BASES))
def test_a_base_elsewhere_is_refused(tmp_path: Path, base: str) -> None:
    secret = write(tmp_path / "secret.yaml", "SEED: 42\n")
    path = write(tmp_path / "here" / "config.yaml", f"_BASE_: {base}\nVERSION: 2\n")
    (path.parent / "bases").mkdir()
    canary = tmp_path / "canary"
    write(path.parent / "base.py", f"open({str(canary)!r}, 'w')")
    if "link" in base:
        try:
            os.symlink(secret, path.parent / "link.yaml")
            os.symlink(tmp_path, path.parent / "linked")
        except OSError:
            pytest.skip("this system lets nobody make links")
    for text in (base, f"[{base}]"):
        write(path, f"_BASE_: {text}\nVERSION: 2\n")
        with pytest.raises(ModelError, match=r"builds on|is a LazyConfig"):
            read_config(path)
    assert not canary.exists()


def test_bases_in_a_circle_or_without_end_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", "_BASE_: b.yaml\n")
    write(tmp_path / "b.yaml", "_BASE_: ./x/../a.yaml\n")
    (tmp_path / "x").mkdir()
    with pytest.raises(ModelError, match="builds on itself"):
        read_config(tmp_path / "a.yaml")
    for i in range(DEPTH + 1):
        write(tmp_path / f"{i}.yaml", f"_BASE_: {i + 1}.yaml\n")
    write(tmp_path / f"{DEPTH + 1}.yaml", "SEED: 1\n")
    with pytest.raises(ModelError, match="too many files"):
        read_config(tmp_path / "0.yaml")
    for i in range(DEPTH - 1):
        write(tmp_path / f"{i}.yaml", f"_BASE_: [{', '.join([f'{i + 1}.yaml'] * FILES)}]\n")
    write(tmp_path / f"{DEPTH - 1}.yaml", "SEED: 1\n")
    with pytest.raises(ModelError, match="too many files"):
        read_config(tmp_path / "0.yaml")


def test_a_lazy_config_is_refused_with_the_reason(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    path = write(tmp_path / "config.py", f"open({str(canary)!r}, 'w')\nmodel = None\n")
    with pytest.raises(ModelError, match=r"is a LazyConfig, which is a program.*run it"):
        read_config(path)
    dumped = f"model: {{head: [{{_target_: os.system, command: touch {canary}}}]}}\n"
    path = write(tmp_path / "config.yaml", dumped)
    with pytest.raises(ModelError, match=r"LazyConfig: its model\.head\.0\._target_ names"):
        read_config(path)
    assert not canary.exists()


def test_a_weights_url_in_a_config_is_not_followed(tmp_path: Path) -> None:
    for url in ("http://127.0.0.1:9/model.pkl", "detectron2://ImageNetPretrained/MSRA/R-50.pkl"):
        path = write(tmp_path / "config.yaml", in_zoo(f"MODEL: {{WEIGHTS: '{url}'}}\n"))
        assert read_config(path).MODEL.WEIGHTS == ""


def test_reading_a_config_warns_of_nothing_and_prints_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "config.yaml", in_zoo("SEED: 3\nVERSION: 2\n"))
    code = (
        "from pathlib import Path\n"
        "from napari_instseg.models.detectron2.config import read_config\n"
        f"print(read_config(Path({str(path)!r})).SEED)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True
    )
    assert (done.stdout, done.stderr) == ("3\n", "")
