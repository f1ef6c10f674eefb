"""Numbers in sentences."""


def counted(count: int, noun: str) -> str:
    """`1 cue`, `2,000 cues`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
