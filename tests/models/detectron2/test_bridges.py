"""The real Detectron2 is imported, works, and leaves other packages as they were."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_instseg.models.detectron2 import bridges, install
from napari_instseg.segmenter import ModelError

pytestmark = pytest.mark.skipif(
    not install.state().installed, reason=f"needs Detectron2: run {bridges.INSTALL}"
)


def run(code: str, *options: str, path: Path | None = None) -> str:
    """Run code in a process of its own, with a folder first on its path; return its output."""
    start = f"import sys; sys.path.insert(0, {str(path)!r})\n" if path else ""
    done = subprocess.run(
        [sys.executable, *options, "-c", start + code],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def detectron2():
    return bridges.load()


needs_stub = pytest.mark.skipif(
    install.state().compiled, reason="this Detectron2 has its compiled extension"
)


def test_no_trace_and_no_warning():
    """Everything that is lent is taken back, whatever warnings a user turned into errors."""
    out = run(
        "import sys, warnings, PIL.Image, importlib.util\n"
        "from napari_instseg.models.detectron2 import bridges\n"
        "before = list(warnings.filters)\n"
        "had = hasattr(PIL.Image, 'LINEAR')\n"
        "resources = importlib.util.find_spec('pkg_resources')\n"
        "assert bridges.load() is bridges.load() is sys.modules['detectron2']\n"
        "assert hasattr(PIL.Image, 'LINEAR') == had\n"
        "assert ('pkg_resources' in sys.modules) <= (resources is not None)\n"
        "assert sys.modules.get('cv2', 0) is not None\n"
        "# (torch itself adds filters; ours, which ignore whole categories, are gone)\n"
        "added = [f for f in warnings.filters if f not in before]\n"
        "assert not any(f[0] == 'ignore' and f[1] is None for f in added), added\n"
        "import numpy as np\n"
        "assert not hasattr(np, 'int')\n"
        "print(*(name for name in bridges.MODULES if name not in sys.modules))".replace(
            "import warnings", "import sys, warnings", 1
        ),
        "-W",
        "error",
    )
    assert out == ""


def test_pillow(detectron2):
    """Image.LINEAR was bilinear."""
    from detectron2.data.transforms import ExtentTransform
    from PIL import Image

    image = np.zeros((4, 4, 3), np.uint8)
    assert ExtentTransform((0, 0, 4, 4), (2, 2)).apply_image(image).shape == (2, 2, 3)
    assert ExtentTransform((0, 0, 4, 4), (2, 2)).interp == Image.Resampling.BILINEAR


def test_package_resources(detectron2):
    from detectron2 import model_zoo

    path = Path(model_zoo.get_config_file("COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml"))
    assert path.is_file()


# pycocotools 2.0.11 with NumPy 2.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_numpy_names(detectron2):
    from detectron2.data.build import print_instances_class_histogram
    from detectron2.structures import masks

    annotation = {"annotations": [{"category_id": 0}]}
    print_instances_class_histogram([annotation], ["cell", "other"])
    square = np.array([1.0, 1.0, 1.0, 3.0, 3.0, 3.0, 3.0, 1.0])
    mask = masks.polygons_to_bitmask([square], 5, 5)
    assert mask.dtype == bool
    assert mask.sum() == 4
    assert len(masks.PolygonMasks([[square]]).nonempty()) == 1
    assert masks.np.ndarray is np.ndarray


@needs_stub
class TestWithoutExtension:
    def test_rotated_boxes(self, detectron2):
        import torch
        from detectron2.structures import RotatedBoxes, pairwise_iou_rotated

        boxes = RotatedBoxes(torch.ones(1, 5))
        with pytest.raises(ModelError, match=r"needs 'box_iou_rotated'.*C\+\+ compiler, or choose"):
            pairwise_iou_rotated(boxes, boxes)

    def test_rotated_nms(self, detectron2):
        import torch
        from detectron2.layers import batched_nms_rotated

        with pytest.raises(ModelError, match="needs 'nms_rotated'"):
            batched_nms_rotated(torch.ones(1, 5), torch.ones(1), torch.ones(1), 0.5)

    def test_it_can_be_asked_about(self, detectron2):
        from detectron2 import _C

        assert _C.__name__ == "detectron2._C"
        assert not hasattr(_C, "__path__")
        assert not _C.has_cuda()
        assert _C.get_compiler_version() == _C.get_cuda_version() == "no extension"


def test_an_extension_that_does_not_fit_is_named(tmp_path):
    """Compiled for another torch: the linker's words, and what to do."""
    (tmp_path / "_C.py").write_text("raise ImportError('undefined symbol: _ZN3c10')\n", "utf-8")
    out = run(
        f"import detectron2\ndetectron2.__path__.insert(0, {str(tmp_path)!r})\n"
        "from napari_instseg.models.detectron2 import bridges\n"
        "from napari_instseg.segmenter import ModelError\n"
        "try:\n    bridges.load()\nexcept ModelError as error:\n    print(error)",
    )
    assert "undefined symbol: _ZN3c10" in out
    assert "compile it again" in out


OPENCV = """\
__version__ = "4.10.0"
INTER_LINEAR = 1
class ocl:
    setUseOpenCL = staticmethod(bool)
"""


def test_what_works_is_left_alone(tmp_path):
    """A user's own OpenCV and compiled extension."""
    (tmp_path / "cv2.py").write_text(OPENCV, "utf-8")
    (tmp_path / "_C.py").write_text("box_iou_rotated = 'mine'\n", "utf-8")
    out = run(
        f"import detectron2\ndetectron2.__path__.insert(0, {str(tmp_path)!r})\n"
        "from napari_instseg.models.detectron2 import bridges\n"
        "bridges.load()\n"
        "from detectron2.layers import nms_rotated, rotated_boxes\n"
        "from detectron2.projects.point_rend import ColorAugSSDTransform\n"
        "print(rotated_boxes._C.box_iou_rotated, nms_rotated.__module__)\n"
        "print(isinstance(ColorAugSSDTransform, type), sys.modules['cv2'].__file__)",
        path=tmp_path,
    )
    assert out.splitlines() == ["mine detectron2.layers.nms", f"True {tmp_path / 'cv2.py'}"]


def test_a_broken_opencv_does_not_matter(tmp_path):
    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1')\n", "utf-8")
    out = run(
        "from napari_instseg.models.detectron2 import bridges\n"
        "bridges.load()\n"
        "from detectron2.projects.point_rend import ColorAugSSDTransform\n"
        "print('cv2' in sys.modules)\n"
        "try:\n    ColorAugSSDTransform('BGR')\nexcept Exception as error:\n    print(error)",
        path=tmp_path,
    )
    assert out.splitlines() == [
        "False",
        "ColorAugSSDTransform needs the package cv2, which cannot be imported here",
    ]


def test_without_torch():
    """A failed import says why and leaves nothing, so that the next one can do better."""
    out = run(
        "import sys\nsys.modules['torch'] = None\n"
        "from napari_instseg.models.detectron2 import bridges\n"
        "from napari_instseg.segmenter import ModelError\n"
        "try:\n    bridges.load()\nexcept ModelError as error:\n    print(error)\n"
        "import PIL.Image\n"
        "print('detectron2._C' in sys.modules, hasattr(PIL.Image, 'LINEAR'))",
        "-W",
        "error",
    )
    assert "cannot be imported (import of torch halted" in out
    assert out.endswith("False False")


@pytest.mark.parametrize("folder", [False, True])
def test_missing(tmp_path, folder):
    """Not there at all, or only a folder of that name, as in a clone's parent folder."""
    if folder:
        (tmp_path / "detectron2").mkdir()
    ours = Path(bridges.__file__).parents[3]
    out = run(
        "import sys, numpy\n"
        f"sys.path[:] = [{str(tmp_path)!r}, {str(ours)!r}, "
        "*(p for p in sys.path if 'site-packages' not in p)]\n"
        "from napari_instseg.models.detectron2 import bridges, install\n"
        "from napari_instseg.segmenter import ModelError\n"
        "assert not install.state().installed\n"
        "try:\n    bridges.load()\nexcept ModelError as error:\n    print(error)",
    )
    assert out == f"Detectron2 is not installed: run '{bridges.INSTALL}'"
