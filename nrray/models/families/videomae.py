"""VideoMAE (Tong et al. 2022): positions are a table, so that every window has the frames of the pretraining."""

from nrray.errors import ModelError
from nrray.models.families.family import LoadedCheckpoint
from nrray.models.families.video_encoder import VideoEncoder


class VideoMae(VideoEncoder):
    """Tubes of some frames each, all visible."""

    def check_window(self, checkpoint: LoadedCheckpoint, *, num_frames: int) -> None:
        expected = int(checkpoint.model.config.num_frames)
        if num_frames != expected:
            raise ModelError(
                f"model {checkpoint.name}: found windows of {num_frames} frames, expected the {expected} that its positions "
                f"are made for. Set sampling.frames_per_second and sampling.window_seconds."
            )
