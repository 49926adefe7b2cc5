"""What a store of trust holds, as the tool that keeps it tells."""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path

import msgspec

from gdkreg.engines.stores import Store
from gdkreg.errors import GdkregError
from gdkreg.host.base import HostReader
from gdkreg.resources.owned import FileState

_WITHIN = 20.0  # seconds for a VM to answer: minikube's ssh alone takes two
PEM = re.compile(rb"-----BEGIN CERTIFICATE-----[\w+/=\s]+-----END CERTIFICATE-----\n?")


class Seen(msgspec.Struct, frozen=True):
    """What a store holds. `pems` are the certificates there; `answers`: it could be looked at, else `why` not; `gone` for good.
    `instead` is a file that counts there in its place. Of a file on this machine `file`, whether what reads it has taken it
    (`taken`), and the folders that lead to it and are missing."""

    store: Store
    pems: tuple[bytes, ...] = ()
    answers: bool = True
    why: str = ""
    gone: bool = False
    instead: str = ""
    file: FileState | None = None
    taken: bool = True
    missing: tuple[Path, ...] = ()


def look(store: Store, host: HostReader, certificate: Path) -> Seen:
    """What a store of another program's holds."""
    done = host.query(store.words(store.row.look, {"certificate": str(certificate)}), _WITHIN)
    first, _, rest = done.out.partition("\n")
    instead = first if first.endswith("/hosts.toml") and not leads_to(rest.partition("-----BEGIN")[0], store.file) else ""
    pems = tuple(PEM.findall(done.out.encode()))
    # A keychain has an exit code for nothing found.
    answers = done.code == 0 or (not store.row.fed and done.code not in {124, 126, 127})
    said = (done.err or done.out).strip().splitlines()
    return Seen(store, pems, answers, said[-1] if said and not answers else "", instead=instead)


def leads_to(text: str, file: str) -> bool:
    """Whether a hosts.toml of containerd's, which counts in the place of a ca.crt beside it, names that one."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        hosts = tomlkit.parse(text).unwrap().get("host")
    except (TOMLKitError, ValueError):
        return False
    tables = [table for table in hosts.values() if isinstance(table, dict)] if isinstance(hosts, dict) else []
    return any(file in (ca if isinstance(ca, list) else [ca]) for ca in (table.get("ca") for table in tables))


def instead_of(file: Path, host: HostReader) -> str:
    """The hosts.toml that containerd reads and that does not lead to this ca.crt beside it; empty where there is none."""
    stands = file.with_name("hosts.toml")
    if host.info(stands) is None:
        return ""
    try:
        text = (host.read(stands) or b"").decode("utf-8", "replace")
    except GdkregError:
        return str(stands)
    return "" if leads_to(text, str(file)) else str(stands)


def der(pem: bytes) -> bytes:
    """The certificate itself, however it is broken into lines."""
    try:
        return base64.b64decode(b"".join(pem.split(b"-----")[2].split())) if pem.count(b"-----") >= 4 else pem
    except binascii.Error:
        return pem


def body(pem: bytes) -> bytes:
    return b"".join(pem.replace(b"-----BEGIN CERTIFICATE-----", b"").replace(b"-----END CERTIFICATE-----", b"|").split())
