"""`sample_frames` with the backend of the config, in this process."""

import numpy as np

from nrray.decode.request import DecodeBackend, DecodeConfig, FrameRequest, SampledFrames


def sample_frames(request: FrameRequest, config: DecodeConfig) -> SampledFrames:
    """The frames of `request`, decoded here: a hang or a crash of the decoder is one of this process.

    Raises DecodeError, and ValueError for samples that are not rising.
    """
    if not len(request.sample_us) or (np.diff(request.sample_us) < 0).any():
        raise ValueError("sample_us must hold at least one time and be sorted")
    if config.backend is DecodeBackend.DECORD:
        from nrray.decode.decord_backend import sample_decord_frames

        return sample_decord_frames(request, config)
    if config.backend is DecodeBackend.TORCHCODEC:
        from nrray.decode.torchcodec_backend import sample_torchcodec_frames

        return sample_torchcodec_frames(request, config)
    from nrray.decode.pyav_backend import sample_pyav_frames

    return sample_pyav_frames(request, config)
