"""trust-docker-registry."""

from __future__ import annotations

import shutil
from pathlib import Path

from gdkreg.clients.table import CLIENTS
from gdkreg.engines import stores
from gdkreg.engines.stores import BY_KEY, ROWS
from gdkreg.engines.stores import CLIENTS as NAMED
from gdkreg.errors import ConfigError, GdkregError
from gdkreg.options import Choice
from gdkreg.plan import reconcile
from gdkreg.plan.actions import Step
from gdkreg.plan.outcome import Listener, Outcome
from gdkreg.plan.preview import Preview
from gdkreg.resources.store_seen import instead_of
from gdkreg.verbs.machine import trust_left_out
from gdkreg.verbs.root import Root
from gdkreg.verbs.work import SILENT, Work


def trust(
    root: Root, listener: Listener = SILENT, *, clients: tuple[str, ...] = (), remove: bool = False, dry_run: bool = False
) -> Outcome:
    """Have the engine, the runner and builders trust registry_host.crt, or no longer; with `clients` these, and what others
    trust stays as it is."""
    if not remove:
        _certificate_is_there(root)
    root.options = root.options.also(trust=not (remove or clients), choice=_choice(root, clients, remove=remove))
    present = not remove or bool(clients)

    def plan(preview: Preview) -> list[Step]:
        if not remove:
            root.refuse_other_claims()
        return reconcile.plan(root.inventory().trusts().all(), preview, present=present)

    work = Work(root, "trust-docker-registry", listener)
    outcome = work.carry_out(
        plan, dry_run=dry_run, check=lambda: root.inventory().trusts().all() if present else (), present=present
    )
    name, changed = root.settings.authority, bool(outcome.items)
    outcome.data |= {"authority": name, "clients": list(clients)}
    outcome.notes += [] if remove else trust_left_out(root)
    if dry_run:
        return outcome
    by = f" by {', '.join(clients)}" if clients else ""
    if remove:
        outcome.notes.append(f"{name} is no longer trusted{by}" if changed else f"{name} was not trusted{by}")
        outcome.notes += _kept(root, clients)
        return outcome
    outcome.notes.append(f"{name} is trusted{by}" if changed else f"{name} is trusted{by} already")
    outcome.notes += [f"! {text}" for text in _to_do(root, clients, changed=changed)]
    outcome.notes += _elsewhere(root)
    return outcome


def named(words: str, root: Root, *, remove: bool = False) -> tuple[str, ...]:
    """The clients of `--client`. Raises `ConfigError` for a name that there is not, `GdkregError` for a client that is not here:
    what is taken away needs none."""
    from gdkreg.engines.present import looked_for

    asked = tuple(dict.fromkeys(word.strip() for word in words.split(",") if word.strip()))
    wrong = [word for word in asked if word not in {*NAMED, "all"}]
    if wrong or not asked:
        raise ConfigError(f"--client {', '.join(wrong)}: there is no such client", fix=f"one of {', '.join(NAMED)}, or all")
    around = root.inventory().trusts().around()
    if "all" in asked:
        others = [client for client in NAMED if client != "system"]
        here = others if remove else [client for client in others if not looked_for(client, around)]
        return tuple(dict.fromkeys([*here, *(word for word in asked if word != "all")]))
    for client in () if remove else asked:
        if missing := looked_for(client, around):
            raise GdkregError(
                f"{client} is not on this machine", why=f"looked for {missing}", fix="gdkreg trust shows who is here"
            )
    return asked


def _choice(root: Root, clients: tuple[str, ...], *, remove: bool) -> Choice | None:
    """Whose trust is kept from now on; None where that is as without `--client`."""
    from gdkreg.resources.trusts import USUAL

    if not clients:
        return Choice(False) if remove else None
    now = root.inventory().trusts().choice()
    others = tuple(client for client in now.more if client not in clients)
    less = tuple(client for client in now.less if client not in clients)
    if not remove:
        return Choice(now.usual, (*others, *clients), less)
    less += tuple(client for client in clients if client in USUAL) if now.usual else ()
    usual = now.usual and set(less) != set(USUAL)
    return Choice(usual, others, less if usual else ())


def _to_do(root: Root, clients: tuple[str, ...], *, changed: bool) -> list[str]:
    """What only the user can do so that it counts."""
    from gdkreg.engines.trust import hint

    trusts = root.inventory().trusts()
    inside = "docker" in clients and root.engine.kind in {"colima", "rancher"}  # where it is put into the VM, too
    then = [place.then for place in trusts.docker_trust().places if changed and not inside]
    then += [row.again for row in ROWS if changed and row.how == "builder" and row.client in clients]
    reached = [note for item in trusts.all() if item.name == "trust_stores" for note in item.notes(item.inspect(root.reader))]
    doubts = [f"{note.text}\n    {note.fix}" for note in reached if note.level == "warning"]
    ca = Path(BY_KEY["containerd"].place) / root.settings.authority / "ca.crt"
    if "containerd" in clients and (stands := instead_of(ca, root.reader)):
        doubts.append(f'{ca} does not count: {stands} does\n    add to it: ca = "{ca}"')
    engine = hint(root.engine) if not clients or "docker" in clients else ""
    return [text for text in [engine, *dict.fromkeys(then), *doubts] if text]


def _kept(root: Root, clients: tuple[str, ...]) -> list[str]:
    """Who goes on trusting, because it reads what another client has."""
    mine = root.host.platform.home / ".docker/certs.d"
    reads = {"podman": Path("/etc/docker/certs.d"), "docker": mine if stores.in_vm(root.engine.kind) else None, "runner": mine}
    more, by_system = root.inventory().trusts().choice().more, {"podman", "containerd"} & set(clients)
    note = f"! {', '.join(sorted(by_system))}: this machine's own store counts too, and stays"
    files = [(client, folder / root.settings.authority / "ca.crt") for client in clients if (folder := reads.get(client))]
    told = [f"! {client} reads {file} too, which stays for others" for client, file in files if root.host.info(file)]
    return [*told, *([note] if by_system and "system" in more else [])]


def _elsewhere(root: Root) -> list[str]:
    """The clients of this machine that read no certs.d, and the line that each needs."""
    path = root.host.platform.env.get("PATH", "")
    here = [row for row in CLIENTS if row.program and row.trust == "variable" and shutil.which(row.program, path=path)]
    return [f'{row.name} reads no certs.d: eval "$(gdkreg env {row.name})"' for row in here]


def _certificate_is_there(root: Root) -> None:
    if not root.settings.registry.self_signed:
        raise GdkregError(
            "registry.self_signed is false, so there is no certificate to trust",
            fix="gdkreg config set registry.self_signed true; gdkreg reconfigure",
        )
    if root.host.info(root.path / "registry_host.crt") is None:
        raise GdkregError(f"there is no {root.path / 'registry_host.crt'} yet", fix="gdkreg reconfigure")
