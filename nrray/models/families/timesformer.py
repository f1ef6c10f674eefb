"""TimeSformer (Bertasius et al. 2021): its first token stands for the whole window."""

from typing import Any

from nrray.models.families.family import FrameCount
from nrray.models.families.video_encoder import VideoEncoder


class Timesformer(VideoEncoder):
    """Divided attention over time, then over space. Positions in time are a table, which is stretched for windows of another
    number of frames."""

    has_class_token = True

    def num_frames(self, config: Any) -> FrameCount:
        return FrameCount(count=int(config.num_frames), is_fixed=False)
