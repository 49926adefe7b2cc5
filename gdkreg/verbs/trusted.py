"""trust: who on this machine trusts registry_host.crt, by which file, and what is still to do. Read-only."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import msgspec

from gdkreg.engines import present, trust
from gdkreg.engines.present import Around
from gdkreg.engines.stores import BY_KEY, CLIENTS, ROWS, Row, Store
from gdkreg.errors import GdkregError
from gdkreg.resources.store_seen import instead_of
from gdkreg.resources.store_seen import look as look_into
from gdkreg.verbs.root import Root

# current: registry_host.crt, as it is; other: another certificate; unread: it cannot be told now.
State = Literal["current", "other", "missing", "unread"]
_NO_CERTIFICATE = "registry.self_signed is false, so there is no certificate to trust"


class Trusting(msgspec.Struct, frozen=True, kw_only=True):
    """How one client's store stands. `chosen`: gdkreg keeps it current; `restart`: what reads it has to be started anew first;
    `why` says more, `fix` is the one command that helps, `prove` the one that shows it."""

    client: str
    of: str
    reads: str
    state: State
    chosen: bool
    restart: bool = False
    why: str = ""
    fix: str = ""
    prove: str = ""


class Trusted(msgspec.Struct, frozen=True):
    """`problem` is why there is nothing to trust at all; `absent` are clients that are not here, with what was looked for."""

    root: str
    authority: str
    certificate: str
    stores: list[Trusting]
    absent: dict[str, str]
    problem: str = ""


class _Eye:
    """Looks at one root's stores."""

    def __init__(self, root: Root) -> None:
        self.root, self.host = root, root.host
        self.trusts = root.inventory().trusts()
        self.choice = self.trusts.choice()
        self.around: Around = self.trusts.around()
        self.kept = {place.folder for place in self.trusts.docker_trust().places}
        self.authority = root.settings.authority
        self.path = root.path / "registry_host.crt"
        self.certificate = root.host.read(self.path)

    def of_client(self, client: str, *, inside: bool = True) -> list[Trusting]:
        """`inside`: also what only a tool of others tells, as of a VM."""
        engine, platform = self.root.engine, self.host.platform
        found = [
            self._file(client, self._row_of(client, place), place.folder / self.authority / "ca.crt")
            for place in trust.chosen(client, engine, platform)
        ]
        if client == "buildx":
            found.append(self._builder())
        kept = [self._store(store) for store in present.stores_of(client, self.authority, self.around)] if inside else []
        if any(one.state == "current" for one in kept):  # in the VM, so that no restart is needed
            found = [msgspec.structs.replace(one, restart=False, why="", fix="") if one.restart else one for one in found]
        return [*found, *kept]

    def _row_of(self, client: str, place: trust.Place) -> Row:
        return next(row for row in ROWS if row.client == client and row.of == place.of and row.how == "certs.d")

    def _chosen(self, row: Row, reads: str) -> bool:
        """Whether reconfigure keeps it current. The usual clients have folders, and those of the engine in use alone."""
        from gdkreg.resources.trusts import USUAL

        if row.client in self.choice.more:
            return True
        here = row.how == "builder" or (row.how == "certs.d" and Path(reads).parents[1] in self.kept)
        return here and self.choice.usual and row.client in set(USUAL) - set(self.choice.less)

    def _file(self, client: str, row: Row, path: Path) -> Trusting:
        path = self._instead(client, path)
        state, why = self._state(path)
        found = self._trusting(row, str(path), state, why)
        if client == "containerd" and (stands := instead_of(path, self.host)):
            line = f'ca = "{path}"'
            return msgspec.structs.replace(found, state="unread", why=f"{stands} counts in its place", fix=f"add to it: {line}")
        due = self._due(row, path) if state == "current" else ""
        return msgspec.structs.replace(found, restart=True, why=due, fix=row.restart) if due else found

    def _instead(self, client: str, path: Path) -> Path:
        """podman and its like read the first of three folders that there is."""
        if client != "podman" or self.host.info(path.parent) is not None:
            return path
        others = (Path(folder) / self.authority / "ca.crt" for folder in ("/etc/containers/certs.d", "/etc/docker/certs.d"))
        return next((other for other in others if self.host.info(other.parent) is not None), path)

    def _state(self, path: Path) -> tuple[State, str]:
        try:
            content = self.host.read(path)
        except GdkregError as error:
            return "unread", f"{error.what}: {error.why}"
        if content is None:
            return "missing", ""
        return ("current", "") if content == self.certificate else ("other", "")

    def _trusting(self, row: Row, reads: str, state: State, why: str, store: Store | None = None) -> Trusting:
        chosen = self._chosen(row, reads)
        store = store or Store(row, self.authority, str(self.root.path / "registry"), "", self.around.program)
        fix = "gdkreg reconfigure" if chosen else f"gdkreg trust-docker-registry --client {row.client}"
        return Trusting(
            client=row.client,
            of=store.title,
            reads=reads,
            state=state,
            chosen=chosen,
            why=why,
            fix="" if state == "current" else fix,
            prove=store.fill(row.prove, {"certificate": str(self.path)}),
        )

    def _due(self, row: Row, path: Path) -> str:
        """Why what reads a file does not know it yet. An engine makes its socket when it starts."""
        url = self.root.engine.endpoint.url
        started = self.host.changed(Path(url.removeprefix("unix://"))) if url.startswith("unix://") else 0.0
        if not started:
            return ""
        if row.again and self.host.changed(path) > started:
            return f"the file is newer than the start of {row.of}, which copies it then"
        if row.key == "rootless" and self.host.changed(Path("/etc/hosts")) > started:
            return "it holds /etc/hosts as that was at its start"
        return ""

    def _builder(self) -> Trusting:
        """A builder in a container has a copy of what stood there when it was made."""
        row, path = BY_KEY["buildx"], self.root.path / "registry" / "buildkitd.toml"
        state: State = "current" if self.host.info(path) is not None else "missing"
        found = self._trusting(row, str(path), state, "")
        written = max(self.host.changed(path), self.host.changed(self.path))
        for container in self.around.containers() or [] if state == "current" else []:
            name = str((container.get("Names") or [""])[0]).lstrip("/")
            builder = re.fullmatch(r"buildx_buildkit_(.+?)\d+", name)
            if builder is not None and float(container.get("Created") or 0) < written:
                make = Store(row, self.authority, str(path.parent)).fill(row.restart, {})
                why = f"the builder {builder[1]} is older than the file"
                return msgspec.structs.replace(found, restart=True, why=why, fix=f"docker buildx rm {builder[1]}; {make}")
        return found

    def _store(self, store: Store) -> Trusting:
        if store.row.how == "file":
            return self._of_a_file(store)
        from gdkreg.resources.x509 import root_of

        seen = look_into(store, self.host, self.path)
        current = any(self._same(pem) for pem in seen.pems)
        others = seen.pems if store.row.fed else [pem for pem in seen.pems if root_of(pem) == self.root.identity.id]
        state: State = "unread" if not seen.answers else "current" if current else "other" if others else "missing"
        if seen.instead:
            found = self._trusting(store.row, store.file, "unread", f"{seen.instead} counts in its place", store)
            return msgspec.structs.replace(found, fix=f'add to it: ca = "{store.file}"')
        why = f"it does not answer: {seen.why}" if not seen.answers else ""
        return self._trusting(store.row, store.file, state, why, store)

    def _of_a_file(self, store: Store) -> Trusting:
        from gdkreg.resources.store_seen import body

        state, why = self._state(Path(store.path))
        bundle = store.row.bundle
        read = self.host.read(Path(bundle)) or b"" if bundle and self.certificate else b""
        if state == "current" and bundle and body(self.certificate or b"") not in body(read):
            state, why = "missing", f"it is not in {bundle} yet"
        return self._trusting(store.row, store.path, state, why, store)

    def _same(self, pem: bytes) -> bool:
        from gdkreg.resources.store_seen import der

        return self.certificate is not None and der(pem) == der(self.certificate)


def look(root: Root) -> Trusted:
    """Every client that is here, in the order of `--client`."""
    settings, path = root.settings, root.path / "registry_host.crt"
    nothing = "" if settings.registry.self_signed else _NO_CERTIFICATE
    if settings.registry.self_signed and root.host.info(path) is None:
        nothing = f"there is no {path} yet"
    if nothing:
        return Trusted(str(root.path), settings.authority, str(path), [], {}, nothing)
    eye = _Eye(root)
    missing = {client: present.looked_for(client, eye.around) for client in CLIENTS}
    found = [one for client in CLIENTS if not missing[client] for one in eye.of_client(client)]
    return Trusted(str(root.path), settings.authority, str(path), found, {name: why for name, why in missing.items() if why})


def kept(root: Root) -> list[Trusting]:
    """The stores that gdkreg keeps current. No VM is asked where nobody named its client."""
    from gdkreg.resources.trusts import USUAL

    eye = _Eye(root)
    usual = set(USUAL if eye.choice.usual else ()) - set(eye.choice.less)
    clients = [name for name in CLIENTS if name in {*usual, *eye.choice.more} and not present.looked_for(name, eye.around)]
    found = [one for name in clients for one in eye.of_client(name, inside=name in eye.choice.more)]
    return [one for one in found if one.chosen]


def as_data(found: Trusted) -> dict[str, Any]:
    return {"command": "trust", **msgspec.to_builtins(found)}
