"""Where every engine and client keeps trust, a row each: what is put there, how it is read again, proven and taken back.

`{home}`, `{config}` (XDG_CONFIG_HOME), `{authority}` (HOST:PORT), `{host}`, `{file}` (HOST-PORT), `{name}` (of a VM or a node),
`{program}` (docker or podman), `{folder}`, `{certificate}` and `{sha1}` are filled in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from gdkreg.host.base import Platform, System

# certs.d: HOST:PORT/ca.crt in a folder, of this machine; builder: buildkitd.toml; file: one of its own name, and what reads it
# again is run after each change; command: a tool of others is asked, and keeps it.
How = Literal["certs.d", "builder", "file", "command"]
CLIENTS = ("docker", "podman", "buildx", "containerd", "kind", "minikube", "runner", "system")
_VM = ("desktop", "colima", "orbstack", "rancher")
_AUTHORITY = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]+)?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")

# What is run inside a VM or a node. No word of it holds a quote, so that a tool's ssh may join and split it.
_PUT = "mkdir -p {folder} && cat > {folder}/.new && chmod 644 {folder}/.new && mv {folder}/.new {folder}/ca.crt"
_LOOK = "ls {folder}/hosts.toml 2>/dev/null; cat {folder}/hosts.toml {folder}/ca.crt 2>/dev/null; true"
_BACK = "rm -f {folder}/ca.crt; rmdir {folder} 2>/dev/null; test ! -e {folder}/ca.crt"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One place. `of` names it to a person, `key` in the journal. `engines` are those that it is of; none: of every machine with
    its client. `again`: what has to be done for it to count, and `restart` the command; both empty: nothing. `prove` is the
    command that shows it. What `command` rows run: `look`, `put` (`fed`: the certificate on stdin) and `back`; `names` says how
    their VMs and nodes are found, `data` is what is gone with a VM ({machines} and {colimas}: where the tool keeps
    them). Of a `file`, `refresh` writes `bundle` anew, and `back` does where the file is gone."""

    key: str
    client: str
    of: str
    how: How
    place: str
    prove: str
    as_root: bool = False
    system: System | None = None
    engines: tuple[str, ...] = ()
    again: str = ""
    restart: str = ""
    look: tuple[str, ...] = ()
    put: tuple[str, ...] = ()
    back: tuple[str, ...] = ()
    fed: bool = True
    names: Literal["", "colima", "machine", "podman machine", "kind", "k3d", "minikube"] = ""
    data: str = ""
    refresh: tuple[str, ...] = ()
    bundle: str = ""


def _inside(*reach: str, **row: object) -> Row:
    """A certs.d folder that is reached by a tool's own command, whose last word holds {script}."""
    *words, last = reach
    argv = {name: (*words, last.replace("{script}", text)) for name, text in (("look", _LOOK), ("put", _PUT), ("back", _BACK))}
    return msgspec.convert({"how": "command", **argv, **row}, Row)


def _anchors(key: str, place: str, bundle: str, *refresh: str, back: tuple[str, ...] = ()) -> Row:
    return Row(
        key=key,
        client="system",
        of="this machine's own store",
        how="file",
        place=f"{place}/gdkreg-{{file}}.crt",
        prove="curl https://{authority}/v2/",
        as_root=True,
        system="linux",
        refresh=refresh,
        back=back or refresh,
        bundle=bundle,
    )


_DOCKER, _PODMAN = "docker pull {authority}/NAME", "podman pull {authority}/NAME"
_MINE, _THEIRS = "{home}/.docker/certs.d", "/etc/docker/certs.d/{authority}"
_CONTAINERD = "/etc/containerd/certs.d"
_K3S = "/var/lib/rancher/k3s/agent/etc/containerd/certs.d"
_COPIED = "it copies the folder into its VM at start"

ROWS = (
    # docker: the engine in use
    Row(
        key="docker",
        client="docker",
        of="Docker Engine",
        how="certs.d",
        place="/etc/docker/certs.d",
        as_root=True,
        engines=("docker",),
        prove=_DOCKER,
    ),
    Row(
        key="rootless",
        client="docker",
        of="rootless Docker",
        how="certs.d",
        place="{config}/docker/certs.d",
        engines=("rootless",),
        restart="systemctl --user restart docker",  # for its copy of /etc/hosts, never for the certificate
        prove=_DOCKER,
    ),
    Row(
        key="desktop",
        client="docker",
        of="Docker Desktop",
        how="certs.d",
        place=_MINE,
        engines=("desktop",),
        again=f"restart Docker Desktop: {_COPIED}",
        restart="docker desktop restart",
        prove=_DOCKER,
    ),
    Row(
        key="colima",
        client="docker",
        of="Colima",
        how="certs.d",
        place=_MINE,
        engines=("colima",),
        again=f"colima restart: {_COPIED}",
        restart="colima restart",
        prove=_DOCKER,
    ),
    Row(
        key="orbstack",
        client="docker",
        of="OrbStack",
        how="certs.d",
        place=_MINE,
        engines=("orbstack",),
        again="restart OrbStack: orb restart docker",
        restart="orb restart docker",
        prove=_DOCKER,
    ),
    Row(
        key="rancher",
        client="docker",
        of="Rancher Desktop",
        how="certs.d",
        place=_MINE,
        engines=("rancher",),
        again="restart Rancher Desktop",
        restart="rdctl shutdown; rdctl start",
        prove=_DOCKER,
    ),
    _inside(
        *("colima", "ssh", "--profile", "{name}", "--", "sudo", "sh", "-c", "{script}"),
        key="colima-vm",
        client="docker",
        of="Colima's VM",
        place=_THEIRS,
        engines=("colima",),
        names="colima",
        data="{colimas}/{name}",
        prove=_DOCKER,
    ),
    _inside(
        *("rdctl", "shell", "sudo", "sh", "-c", "{script}"),
        key="rancher-vm",
        client="docker",
        of="Rancher Desktop's VM",
        place=_THEIRS,
        engines=("rancher",),
        data="{home}/.rd",
        prove=_DOCKER,
    ),
    _inside(
        *("docker-machine", "ssh", "{name}", "sudo sh -c '{script}'"),
        key="docker-machine",
        client="docker",
        of="docker-machine's VM",
        place=_THEIRS,
        engines=("machine",),
        names="machine",
        data="{machines}/{name}",
        prove=_DOCKER,
    ),
    # podman, buildah and skopeo
    Row(
        key="podman",
        client="podman",
        of="podman, buildah and skopeo",
        how="certs.d",
        place="{config}/containers/certs.d",
        prove=_PODMAN,
    ),
    Row(
        key="podman-system",
        client="podman",
        of="Podman",
        how="certs.d",
        place="/etc/containers/certs.d",
        as_root=True,
        engines=("podman",),
        prove=_PODMAN,
    ),
    _inside(
        *("podman", "machine", "ssh", "{name}", "sudo sh -c '{script}'"),
        key="podman-machine",
        client="podman",
        of="podman machine's VM",
        place="/etc/containers/certs.d/{authority}",
        system="darwin",
        names="podman machine",
        data="{home}/.local/share/containers/podman/machine",
        prove=_PODMAN,
    ),
    Row(
        key="buildx",
        client="buildx",
        of="builders of docker buildx",
        how="builder",
        place="buildkitd.toml",
        again="make a new builder: it takes a copy when it is made",
        restart="docker buildx create --use --driver-opt network=host --buildkitd-config {folder}/buildkitd.toml",
        prove="gdkreg verify --client buildx",
    ),
    Row(
        key="containerd",
        client="containerd",
        of="containerd",
        how="certs.d",
        place=_CONTAINERD,
        as_root=True,
        system="linux",
        prove="ctr images pull --hosts-dir /etc/containerd/certs.d {authority}/NAME",
    ),
    # Kubernetes on this machine
    _inside(
        *("{program}", "exec", "-i", "{name}", "sh", "-c", "{script}"),
        key="kind",
        client="kind",
        of="kind's node",
        place=f"{_CONTAINERD}/{{authority}}",
        names="kind",
        prove="{program} exec {name} crictl pull {authority}/NAME",
    ),
    _inside(
        *("{program}", "exec", "-i", "{name}", "sh", "-c", "{script}"),
        key="k3d",
        client="kind",
        of="k3d's node",
        place=f"{_K3S}/{{authority}}",
        names="k3d",
        prove="{program} exec {name} crictl pull {authority}/NAME",
    ),
    Row(
        key="minikube",
        client="minikube",
        of="minikube's next start",
        how="file",
        place="{home}/.minikube/certs/gdkreg-{file}.pem",
        prove="minikube ssh -- docker pull {authority}/NAME",
    ),
    _inside(
        *("minikube", "ssh", "--profile", "{name}", "--", "sudo sh -c '{script}'"),
        key="minikube-vm",
        client="minikube",
        of="minikube, as it runs",
        place=_THEIRS,
        names="minikube",
        data="{home}/.minikube/profiles",
        prove="minikube ssh --profile {name} -- docker pull {authority}/NAME",
    ),
    Row(key="runner", client="runner", of="the runner", how="certs.d", place=_MINE, prove="gdkreg verify --client dind"),
    # the operating system's own, never by default
    _anchors(
        *("debian", "/usr/local/share/ca-certificates", "/etc/ssl/certs/ca-certificates.crt", "update-ca-certificates"),
        back=("update-ca-certificates", "--fresh"),  # else the link to what is gone stays in /etc/ssl/certs
    ),
    _anchors("fedora", "/etc/pki/ca-trust/source/anchors", "/etc/pki/tls/certs/ca-bundle.crt", "update-ca-trust", "extract"),
    _anchors(
        "arch", "/etc/ca-certificates/trust-source/anchors", "/etc/ssl/certs/ca-certificates.crt", "trust", "extract-compat"
    ),
    Row(
        key="keychain",
        client="system",
        of="the login keychain",
        how="command",
        place="{home}/Library/Keychains/login.keychain-db",
        system="darwin",
        prove="security verify-cert -c {certificate}",
        look=("security", "find-certificate", "-a", "-p", "{folder}"),  # of a former name, too
        put=("security", "add-trusted-cert", "-r", "trustRoot", "-k", "{folder}", "{certificate}"),
        back=("security", "delete-certificate", "-Z", "{sha1}", "-t", "{folder}"),
        fed=False,
    ),
)
BY_KEY = {row.key: row for row in ROWS}


class Store(msgspec.Struct, frozen=True):
    """One row on this machine, for one registry; `name` is that of a VM or a node, empty where there is but one."""

    row: Row
    authority: str
    path: str
    name: str = ""
    program: str = "docker"

    @property
    def target(self) -> str:
        """As the journal names it."""
        return f"{self.row.key} {self.name or '-'} {self.path}"

    @property
    def file(self) -> str:
        """What is read there."""
        return f"{self.path}/ca.crt" if self.row.how == "command" and self.row.fed else self.path

    @property
    def title(self) -> str:
        return f"{self.row.of} {self.name}".strip()

    def words(self, template: tuple[str, ...], more: Mapping[str, str]) -> tuple[str, ...]:
        return tuple(self.fill(word, more) for word in template)

    def fill(self, word: str, more: Mapping[str, str]) -> str:
        values = {"folder": self.path, "name": self.name, "program": self.program, **_names(self.authority), **more}
        return re.sub(r"\{(\w+)\}", lambda found: values.get(found[1], found[0]), word)


def path_of(row: Row, authority: str, platform: Platform) -> str:
    config = platform.env.get("XDG_CONFIG_HOME") or str(platform.home / ".config")
    values = {"home": str(platform.home), "config": config, **_names(authority)}
    return re.sub(r"\{(\w+)\}", lambda found: values.get(found[1], found[0]), row.place)


def data_of(row: Row, platform: Platform, name: str = "") -> list[Path]:
    """Where a VM of a row may be kept, by the tool's own variables."""
    home, env = str(platform.home), platform.env
    config = env.get("XDG_CONFIG_HOME") or f"{home}/.config"
    kept = {
        "machines": [f"{env.get('MACHINE_STORAGE_PATH') or f'{home}/.docker/machine'}/machines"],
        "colimas": [env["COLIMA_HOME"]] if env.get("COLIMA_HOME") else [f"{home}/.colima", f"{config}/colima"],
    }
    first, _, rest = row.data.partition("/")
    return [Path(f"{place}/{rest.replace('{name}', name)}") for place in kept.get(first.strip("{}"), [home])] if row.data else []


def _names(authority: str) -> dict[str, str]:
    return {"authority": authority, "host": authority.partition(":")[0], "file": authority.replace(":", "-")}


def parse(target: str, platform: Platform, program: str = "docker") -> Store | None:
    """The store that a line of the journal means; None for one that gdkreg does not make."""
    key, _, rest = target.partition(" ")
    name, _, path = rest.partition(" ")
    row, leaf = BY_KEY.get(key), Path(path).name
    if row is None or (name != "-" and not _NAME.fullmatch(name)):
        return None
    if row.how == "command":
        named = [leaf if row.fed else ""]
    else:  # port 443 stands in no name
        whole = leaf.removeprefix("gdkreg-").rpartition(".")[0]
        named = [re.sub(r"-(\d+)$", r":\1", whole), whole]
    found = (one for one in named if one == "" or _AUTHORITY.fullmatch(one))
    authority = next((one for one in found if path_of(row, one, platform) == path), None)
    return None if authority is None else Store(row, authority, path, "" if name == "-" else name, program)


def folders(platform: Platform, clients: tuple[str, ...] = CLIENTS) -> tuple[Path, ...]:
    """Every certs.d folder that gdkreg ever writes to for these clients, whichever engine is in use."""
    found = (Path(path_of(row, "", platform)) for row in ROWS if row.how == "certs.d" and row.client in clients)
    return tuple(dict.fromkeys(found))


def applies(row: Row, client: str, kind: str, platform: Platform) -> bool:
    """Whether a row is of this client, on this system, with an engine of this kind in use."""
    return row.client == client and row.system in {None, platform.system} and (not row.engines or kind in row.engines)


def in_vm(kind: str) -> bool:
    """Whether an engine copies its trust from ~/.docker into its VM."""
    return kind in _VM
