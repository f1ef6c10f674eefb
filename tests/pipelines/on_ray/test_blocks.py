"""What one decoder takes in one go: requests between two key frames stay together, and all keep their order."""

import numpy as np
import pyarrow as pa
import pytest

from nrray.pipelines.on_ray.blocks import decoder_blocks


def sizes(videos, *, rows=1):
    """Lengths of the blocks of 10 s requests: of each video, how many and its key interval in seconds."""
    uris = [uri for uri, (count, _) in enumerate(videos) for _ in range(count)]
    intervals = [None if seconds is None else int(seconds * 1e6) for count, seconds in videos for _ in range(count)]
    requests = pa.table(
        {
            "uri": pa.array([str(uri) for uri in uris]),
            "key_interval_us": pa.array(intervals, pa.int64()),
            "row": pa.array(range(len(uris)), pa.int64()),
        }
    )
    blocks = decoder_blocks(requests, span_us=np.full(len(uris), 10_000_000), rows=rows)
    assert [row for block in blocks for row in block["row"].to_pylist()] == list(range(len(uris)))
    return [block.num_rows for block in blocks]


@pytest.mark.parametrize(
    ("videos", "rows", "expected"),
    [
        ([(3, 2.0)], 1, [1, 1, 1]),  # key frames lie closer than requests
        ([(3, 10.0)], 1, [1, 1, 1]),
        ([(3, None)], 1, [1, 1, 1]),  # a manifest that does not know
        ([(5, 11.0)], 1, [2, 2, 1]),
        ([(6, 60.0)], 1, [6]),  # one key frame
        ([(2, 60.0), (3, 60.0)], 1, [2, 3]),  # videos are not mixed
        ([(2, 60.0), (3, 2.0)], 1, [2, 1, 1, 1]),
        ([(1, 2.0)] * 5, 2, [2, 2, 1]),  # a huge archive: they are
        ([(1, 2.0), (6, 60.0), (1, 2.0)], 2, [7, 1]),
        ([], 1, []),
    ],
)
def test_requests_between_two_key_frames_are_one_block(videos, rows, expected):
    assert sizes(videos, rows=rows) == expected
