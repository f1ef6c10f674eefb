"""Everything here needs a CUDA device: `python -m pytest -m gpu`."""

import pytest
import torch

import nrray.pipelines.on_ray  # noqa: F401  (settings of Ray, before it is imported)
from tests.model_fixtures import add_head, checkpoint_of, label_set, small_sampling

__all__ = ["add_head", "checkpoint_of", "label_set", "small_sampling"]


@pytest.fixture(autouse=True)
def _cuda():
    if not torch.cuda.is_available():
        pytest.skip("torch sees no CUDA device")
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    torch.backends.cudnn.allow_tf32 = False  # else convolutions are exact to three digits alone
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)
