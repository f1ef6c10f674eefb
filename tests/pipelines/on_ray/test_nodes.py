"""Nodes of a cluster that have no nrray, or another one, are named before work is sent there."""

import pytest

from nrray import __version__
from nrray.errors import ResourcesError
from nrray.pipelines.on_ray import nodes
from nrray.pipelines.on_ray.nodes import check_nodes
from tests.pipelines.support import nrray, one_ray, words

pytestmark = pytest.mark.harsh

# In every process of the cluster that is started with it, as where nrray is not installed.
WITHOUT_NRRAY = """
import sys

class Nobody:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "nrray":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Nobody())
"""


def test_another_version_on_a_node_is_told_and_the_same_one_is_not(monkeypatch):
    with one_ray():
        check_nodes()
        monkeypatch.setattr(nodes, "__version__", "9.9.9")
        with pytest.raises(ResourcesError, match=rf"on 1 node of the cluster: .* \({__version__}\); expected 9.9.9"):
            check_nodes()


def test_a_node_without_nrray_is_told_before_anything_is_labelled(tmp_path, monkeypatch):
    (tmp_path / "node").mkdir()
    (tmp_path / "node" / "sitecustomize.py").write_text(WITHOUT_NRRAY)
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "video.mp4").write_text("no video")
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path / "node"))
        ray_of_others = one_ray()
        ray_of_others.__enter__()
    try:
        refused = nrray("scan", *words(archive=tmp_path / "archive", output=tmp_path / "scan"))
    finally:
        ray_of_others.__exit__(None, None, None)
    assert refused.returncode == 1, refused.stdout + refused.stderr
    assert "found another nrray, or none, on 1 node of the cluster: " in refused.stderr
    assert "(none); expected " in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "scan" / "manifest.parquet").exists()
