"""Layers as torch.compile makes them: all work between two products of matrices becomes one pass over memory. Of a 2B
model's step on an H200, by its bytes, those passes are half of the time (tests/benchmarks/training_roofline.py)."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from transformers.modeling_layers import GradientCheckpointingLayer

from nrray.errors import TrainingError


@contextmanager
def compiled_layers(module: torch.nn.Module) -> Iterator[None]:
    """From now on the layers that a model repeats run compiled, each kind once for all its repetitions; parameters keep their
    names. Raises TrainingError where the block fails because this machine compiles nothing."""
    from torch._dynamo import config  # a second, for those who compile
    from torch._dynamo.exc import TorchDynamoException

    for layer in module.modules():
        if isinstance(layer, GradientCheckpointingLayer):
            layer.compile()
    try:
        # torch counts together all modules that transformers wraps in one function: layers of tower and language model, in
        # training and in validation, of whole and of partial batches. Beyond 8 it would go on uncompiled.
        with config.patch(recompile_limit=64):
            yield
    except TorchDynamoException as error:
        reason = str(error).partition("\n")[0]
        raise TrainingError(
            f"the model's layers cannot be compiled here: {reason}. Install a C++ compiler (g++), or set "
            f"training.compile_layers=false."
        ) from error
