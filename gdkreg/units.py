"""Numbers as a person reads them."""

from __future__ import annotations


def size(count: int) -> str:
    """Bytes as Docker tells them, in powers of 1000: 512 B, 3.42 kB, 1.2 GB."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{count} B" if unit == "B" else f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.4g} TB"


def counted(count: int, name: str) -> str:
    """ "1 blob", "12,304 blobs"."""
    return f"{count:,} {name if count == 1 else name + 's'}"
