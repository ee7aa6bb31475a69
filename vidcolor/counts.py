"""Counts in words: 1 frame, 2 frames."""


def counted(count: int, one: str, many: str = "") -> str:
    """A count and its noun. many: the plural, if it is not the singular with an s."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
