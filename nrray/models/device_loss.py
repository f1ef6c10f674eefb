"""Whether an error of a model means that its accelerator is of no more use. torch comes in with the first question."""


class EngineDiedError(Exception):
    """The process in which a library runs a model has ended, and the library cannot start it again."""


def is_device_lost(error: BaseException) -> bool:
    """Whether an accelerator, or an engine on it, is broken for the rest of this process, as after a device-side assert;
    running out of memory is no such case."""
    if isinstance(error, EngineDiedError):
        return True
    import torch

    return isinstance(error, torch.AcceleratorError) and not isinstance(error, torch.OutOfMemoryError)
