"""What a client of `verify` is: the contract between the chain and the clients, and how they report."""

from __future__ import annotations

from typing import Protocol

import msgspec

from gdkreg.masking.text import prose
from gdkreg.proof.image import Image


class BrokenError(Exception):
    """A hop is broken, and what cures it."""

    def __init__(self, detail: str, remedy: str) -> None:
        self.detail = prose(detail)  # a client's own words, often
        super().__init__(self.detail)
        self.remedy = remedy


class AbsentError(BrokenError):
    """This client is not on this machine, and what brings it there."""


class CaFile(msgspec.Struct, frozen=True):
    """Where a client looks for the registry's CA, and what it finds there."""

    path: str
    content: bytes | None


class Client(Protocol):
    """A container client: whether it is there, how it sees the registry, and the push and pull."""

    name: str

    def engine(self) -> str:
        """What it is, made ready; raises `AbsentError` or `BrokenError`."""

    def ask(self, reference: str, /) -> str | None:
        """What the client itself says of an image that is not there: how it looks the name up, whether it gets through,
        and whether it trusts what it finds. Empty where all is well, None where it cannot be asked."""

    def ca_file(self) -> CaFile | None:
        """The CA file that it uses for this registry; None where that cannot be told."""

    def remedy(self, hop: str, /) -> str:
        """What cures this client's own view of a hop: name, port, trust, or plain for trust without TLS."""

    def push(self, image: Image, reference: str, token: str) -> str:
        """The digest that was pushed; raises `BrokenError`."""

    def pull(self, reference: str, token: str) -> str:
        """The digest that came back; raises `BrokenError`."""

    def clean(self, reference: str, /) -> None:
        """Remove what push and pull left with the client."""
