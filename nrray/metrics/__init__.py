"""Agreement of two labellings: windows, time, segments, events, scores. Arrays in, arrays out; no I/O."""

from nrray.metrics.counts import Agreement, macro_f1, window_agreement

__all__ = ["Agreement", "macro_f1", "window_agreement"]
