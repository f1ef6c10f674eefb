"""TimeSformer (Bertasius et al. 2021): its first token stands for the whole window."""

from nrray.models.families.video_encoder import VideoEncoder


class Timesformer(VideoEncoder):
    """Divided attention over time, then over space."""

    has_class_token = True
