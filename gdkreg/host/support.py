"""What ships beside the code: `support/` at the top of a checkout, inside the package of a wheel."""

from __future__ import annotations

from pathlib import Path

from gdkreg.errors import GdkregError


def text(name: str) -> str:
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "support", package.parent / "support"):
        if (folder / name).is_file():
            return (folder / name).read_text(encoding="utf-8")
    raise GdkregError(f"support/{name} is missing from this installation", fix="install gdkreg again")
