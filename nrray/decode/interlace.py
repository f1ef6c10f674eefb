"""Interlaced pictures to progressive ones, at the time of the picture: FFmpeg's bwdif, which looks at the pictures before and
after (W3FDIF filter by the BBC, BBC R&D White Paper WHP 008, where nothing moves yadif's rule)."""

import av.error
from av.filter import Graph
from av.video.frame import VideoFrame

_SETTINGS = "mode=send_frame:deint=interlaced"


class Deinterlacer:
    """Pictures of one size after the other; those that are not interlaced stay as they are."""

    def __init__(self) -> None:
        self._graph: Graph | None = None
        self._shape: tuple[int, int, str] | None = None
        self._next_pts = 0

    def progressive(self, before: VideoFrame | None, frame: VideoFrame, after: VideoFrame | None) -> VideoFrame:
        """`frame` without combing. Its neighbours of other sizes, or that are missing, count as still."""
        if not frame.interlaced_frame:
            return frame
        shape = (frame.width, frame.height, frame.format.name)
        if self._graph is None or shape != self._shape:
            self._graph, self._shape, self._next_pts = _graph_for(frame), shape, 0
        wanted = self._next_pts + 1
        found: VideoFrame | None = None
        for near in (before, frame, after, after):
            near = near if near is not None and (near.width, near.height, near.format.name) == shape else frame
            kept = near.pts
            try:
                near.pts = self._next_pts
                self._next_pts += 1
                self._graph.vpush(near)
            finally:
                near.pts = kept
            found = self._pulled(wanted) or found
        return frame if found is None else found

    def _pulled(self, wanted: int) -> VideoFrame | None:
        assert self._graph is not None
        found = None
        while True:
            try:
                out = self._graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return found
            # bwdif counts in halves of the time base.
            if out.pts is not None and out.pts == 2 * wanted:
                found = out


def _graph_for(frame: VideoFrame) -> Graph:
    graph = Graph()
    assert frame.time_base is not None
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
    filter_ = graph.add("bwdif", _SETTINGS)
    sink = graph.add("buffersink")
    graph.link_nodes(source, filter_, sink)
    graph.configure()
    return graph
