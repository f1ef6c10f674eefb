"""Whether an error of a model means that its accelerator is of no more use. torch comes in with the first question."""


def is_device_lost(error: BaseException) -> bool:
    """Whether an accelerator is broken for the rest of this process, as after a device-side assert; running out of
    memory is no such case."""
    import torch

    return isinstance(error, torch.AcceleratorError) and not isinstance(error, torch.OutOfMemoryError)
