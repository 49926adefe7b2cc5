"""Numbers as a person reads them."""

from __future__ import annotations


def size(count: int) -> str:
    """Bytes as docker tells them: 512 B, 3.42 kB, 12.3 MB."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.3g} {unit}" if value < 99.95 and unit != "B" else f"{value:.0f} {unit}"
        value /= 1000
    return f"{value:.3g} TB"


def counted(count: int, name: str) -> str:
    """ "1 blob", "12,304 blobs"."""
    return f"{count:,} {name if count == 1 else name + 's'}"
