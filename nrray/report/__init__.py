"""Pictures of a label version, a training, a search and scores by number of cases."""

from nrray.report.timeline_picture import Lane, WindowScores, draw_timeline, unexamined_intervals
from nrray.report.version_timelines import draw_version_timelines

__all__ = ["Lane", "WindowScores", "draw_timeline", "draw_version_timelines", "unexamined_intervals"]
