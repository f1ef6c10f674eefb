"""Requests for parts of videos as the blocks that decoders take: what must be decoded in one go stays together."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def decoder_blocks(requests: pa.Table, *, span_us: NDArray[np.int64], rows: int = 1) -> list[pa.Table]:
    """`requests`, rows of `VideoFacts` and more, in their order, cut into blocks. `span_us` (N,): how much of its video each
    asks for.

    A block has `rows` rows, and more where the key frames of its last video lie further apart than those of it reach: a
    decoder starts at a key frame, so that of N decoders that share what lies between two, each would decode all of it.
    """
    uris, intervals_us = requests["uri"].to_pylist(), requests["key_interval_us"].to_pylist()
    blocks: list[pa.Table] = []
    start = reach_us = 0
    for row, (uri, interval_us) in enumerate(zip(uris, intervals_us, strict=True)):
        reach_us += int(span_us[row])
        is_last_of_video = row + 1 == len(uris) or uris[row + 1] != uri
        if is_last_of_video or reach_us >= (interval_us or 0):
            reach_us = 0
            if row + 1 - start >= rows or row + 1 == len(uris):
                blocks.append(requests.slice(start, row + 1 - start))
                start = row + 1
    return blocks
