"""The keys of gdk.yml that gdkreg reads, as GDK names them, with their documentation.

A default of None is worked out from other keys; `derived` says how, `settings.py` does it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

# What a text has to be; the rules are in `values.py`.
Kind = Literal["host", "ipv4", "image", "id", "path", "url_path", "text", "account", "age", "pattern", "login"]
Port = Annotated[int, Meta(ge=1, le=65535)]
TUNNEL_DOMAIN = "qa-tunnel.gitlab.info"
DEFAULT_IMAGE = "registry.gitlab.com/gitlab-org/build/cng/gitlab-container-registry:v3.88.0-gitlab"


def _doc(description: str, *, derived: str = "", ours: bool = False, kind: Kind | Literal[""] = "") -> Meta:
    return Meta(description=description, extra={"derived": derived, "ours": ours, "kind": kind})


class Block(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A block whose keys are all known here; another key is an error."""


class OpenBlock(msgspec.Struct, frozen=True, kw_only=True):
    """A block of GDK's in which gdkreg reads some keys and leaves the others alone."""


class Https(OpenBlock, frozen=True, kw_only=True):
    enabled: Annotated[bool, _doc("Whether GitLab answers over https.")] = False


class Database(OpenBlock, frozen=True, kw_only=True):
    enabled: Annotated[bool, _doc("GDK's key for the registry's metadata database; gdkreg always writes false.")] = False


class User(Block, frozen=True, kw_only=True):
    """A user of the stand-in token issuer; gdkreg user add writes one."""

    name: Annotated[str, _doc("What docker login asks for.", kind="account", ours=True)]
    password: Annotated[str, _doc("A bcrypt hash, as htpasswd -B makes it.", kind="account", ours=True)]
    pull: Annotated[
        list[str], _doc("Repositories to pull from: * within a path segment, ** across them.", kind="account", ours=True)
    ] = []
    push: Annotated[list[str], _doc("Repositories to push to, which includes pulling.", kind="account", ours=True)] = []
    delete: Annotated[list[str], _doc("Repositories to delete from.", kind="account", ours=True)] = []
    admin: Annotated[bool, _doc("Everything, and the catalog.", ours=True)] = False


class Cleanup(Block, frozen=True, kw_only=True):
    """GitLab's cleanup policy; without remove there is none."""

    remove: Annotated[str, _doc("The tags that may go: an RE2 pattern of whole names.", kind="pattern", ours=True)] = ""
    retain: Annotated[str, _doc("Of those, the tags that stay whatever else is said.", kind="pattern", ours=True)] = ""
    keep: Annotated[
        Annotated[int, Meta(ge=0, le=100000)], _doc("So many of the newest stay, by the image's creation.", ours=True)
    ] = 0
    older_than: Annotated[str, _doc("What is younger stays: a number with h, d or w, such as 30d.", kind="age", ours=True)] = ""


class Registry(Block, frozen=True, kw_only=True):
    enabled: Annotated[bool, _doc("Whether this machine runs a registry at all.")] = False
    host: Annotated[str | None, _doc("The name in image references: HOST:PORT/path.", kind="host", derived="hostname")] = None
    listen_address: Annotated[
        str | None, _doc("The one IPv4 address it listens on; an alias is made if needed.", kind="ipv4", derived="listen_address")
    ] = None
    api_host: Annotated[str | None, _doc("The host that Rails calls the registry by.", kind="host", derived="hostname")] = None
    port: Annotated[Port, _doc("The port of the listener and of image references.")] = 5000
    external_port: Annotated[
        Port | None, _doc("The port in image references where a tunnel or proxy stands before it.", derived="port")
    ] = None
    tunnel_host: Annotated[str | None, _doc("Where the tunnel finds the registry.", kind="host", derived="listen_address")] = None
    tunnel_port: Annotated[Port | None, _doc("The port at which the tunnel finds the registry.", derived="port")] = None
    image: Annotated[str, _doc("The image to run; the file registry_image beside gdk.yml fills in.", kind="image")] = (
        DEFAULT_IMAGE
    )
    self_signed: Annotated[bool, _doc("Serve TLS with registry_host.crt, made by gdkreg.")] = False
    auth_enabled: Annotated[bool, _doc("Ask for GitLab's tokens; false lets everybody on this machine in.")] = True
    uid: Annotated[int | str, _doc("Numeric user of the registry's process; '' is your own.", kind="id")] = ""
    gid: Annotated[int | str, _doc("Numeric group of the registry's process; '' is your own.", kind="id")] = ""
    compatibility_schema1_enabled: Annotated[bool, _doc("Take manifests of Docker before 1.10 (Distribution 2 only).")] = False
    notifications_enabled: Annotated[bool, _doc("GDK's key; gdkreg leaves notifications to registry.config.")] = False
    read_only_maintenance_enabled: Annotated[bool, _doc("Refuse writes with 405, as before a garbage collection.")] = False
    dir: Annotated[
        str | None, _doc("GDK's key: where the registry's source is.", kind="path", derived="<root>/container-registry")
    ] = None
    version: Annotated[str, _doc("GDK's key: the version of the source to build; gdkreg does not build.", kind="text")] = ""
    auto_update: Annotated[bool, _doc("GDK's key: whether gdk update updates the source.")] = True
    database: Annotated[Database, _doc("GDK's keys for the metadata database.")] = Database()
    runtime: Annotated[
        Literal["auto", "docker", "process"],
        _doc("docker: a container. process: a registry binary. auto: docker where that works, else process.", ours=True),
    ] = "auto"
    bin: Annotated[
        str | None,
        _doc(
            "The registry binary of the process runtime.",
            kind="path",
            derived="container-registry/bin/registry, else registry or docker-registry on PATH",
            ours=True,
        ),
    ] = None
    restart_policy: Annotated[
        Literal["no", "always", "on-failure", "unless-stopped"] | None,
        _doc("Docker's restart policy for the container.", derived="unless-stopped with persist, else no", ours=True),
    ] = None
    persist: Annotated[bool, _doc("Bring back at boot what ran: alias, registry and issuer (systemd or launchd).", ours=True)] = (
        False
    )
    persist_alias: Annotated[bool, _doc("The old name of persist.", ours=True)] = False
    certificate_days: Annotated[
        Annotated[int, Meta(ge=31, le=825)],
        _doc("How long a certificate made by gdkreg is valid.", ours=True),
    ] = 365
    token_issuer: Annotated[
        Literal["gitlab", "local", "auto"],
        _doc(
            "Who gives out tokens: GitLab, or gdkreg's stand-in. auto: local while GitLab's /jwt/auth does not answer.", ours=True
        ),
    ] = "auto"
    auth_port: Annotated[
        Port | None,
        _doc("The stand-in's port, on the registry's address.", derived="5001, or 5002 where the registry has that", ours=True),
    ] = None
    cleanup: Annotated[Cleanup, _doc("Which tags gdkreg cleanup removes.", ours=True)] = Cleanup()
    gc_schedule: Annotated[
        Literal["never", "daily", "weekly"],
        _doc("How often gdkreg cleanup and gdkreg gc run by themselves (systemd or launchd).", ours=True),
    ] = "never"
    trash_days: Annotated[
        Annotated[int, Meta(ge=0, le=3650)], _doc("How long gc keeps what it moved to registry/trash.", ours=True)
    ] = 7
    users: Annotated[list[User], _doc("Users of the stand-in; gdkreg user add writes them.", ours=True)] = []
    config: Annotated[
        dict[str, Any],
        _doc("Settings of Distribution's config.yml, merged deep over what gdkreg writes.", ours=True),
    ] = {}


class Runner(OpenBlock, frozen=True, kw_only=True):
    enabled: Annotated[bool | None, _doc("Whether the GDK runs a runner.", derived="whether config_file exists")] = None
    config_file: Annotated[
        str | None, _doc("The runner's config.toml.", kind="path", derived="<root>/gitlab-runner-config.toml")
    ] = None
    install_mode: Annotated[Literal["binary", "docker"], _doc("How the GDK runs the runner.")] = "binary"
    executor: Annotated[str, _doc("The executor of the GDK's runner.", kind="text")] = "docker"
    pull_policy: Annotated[str, _doc("GDK's pull policy for its own template.", kind="text")] = "if-not-present"
    extra_hosts: Annotated[list[str], _doc("GDK's extra hosts for its own template.", kind="text")] = []


class TunnelEnd(OpenBlock, frozen=True, kw_only=True):
    port: Annotated[
        Port | None,
        _doc(
            "The port at the tunnel's far end.",
            derived="by chance from 20000 to 24999, then kept; of the registry 5000 more",
        ),
    ] = None


class Tunnel(Block, frozen=True, kw_only=True):
    """The far end of gdkreg start tunnel."""

    host: Annotated[str, _doc("The machine whose sshd publishes the registry.", kind="host", ours=True)] = TUNNEL_DOMAIN
    port: Annotated[Port, _doc("The port of its sshd.", ours=True)] = 22
    user: Annotated[str | None, _doc("Who logs in there.", kind="login", derived="your name here", ours=True)] = None
    key: Annotated[
        str | None,
        _doc(
            "The private key to log in with; one with a passphrase has to be in your agent.",
            kind="path",
            derived="~/.ssh/id_ed25519, else id_ecdsa or id_rsa",
            ours=True,
        ),
    ] = None
    known_hosts: Annotated[
        str, _doc("The file with the host key of that machine; no other key is ever taken.", kind="path", ours=True)
    ] = "~/.ssh/known_hosts"


class AutoDevops(OpenBlock, frozen=True, kw_only=True):
    enabled: Annotated[bool, _doc("Reach GitLab and the registry through the QA tunnel.")] = False
    listen_address: Annotated[str, _doc("Where services listen for the tunnel.", kind="text")] = "0.0.0.0"
    gitlab: Annotated[TunnelEnd, _doc("GitLab's end of the tunnel.")] = TunnelEnd()
    registry: Annotated[TunnelEnd, _doc("The registry's end of the tunnel: gitlab.port + 5000.")] = TunnelEnd()
    tunnel: Annotated[Tunnel, _doc("The far end of gdkreg start tunnel.", ours=True)] = Tunnel()


class GdkYml(OpenBlock, frozen=True, kw_only=True):
    """The whole file. Other blocks of GDK are left alone."""

    hostname: Annotated[str | None, _doc("The name of this GitLab.", kind="host", derived="listen_address")] = None
    listen_address: Annotated[str, _doc("The IPv4 address that GitLab listens on.", kind="ipv4")] = "127.0.0.1"
    port: Annotated[Port, _doc("GitLab's port.")] = 3000
    relative_url_root: Annotated[str, _doc("The path that GitLab is served under.", kind="url_path")] = ""
    https: Annotated[Https, _doc("TLS of GitLab itself.")] = Https()
    registry: Annotated[Registry, _doc("The container registry.")] = Registry()
    runner: Annotated[Runner, _doc("The GDK's runner.")] = Runner()
    auto_devops: Annotated[AutoDevops, _doc("The Auto DevOps QA tunnel.")] = AutoDevops()


KEYS = tuple(field.name for field in msgspec.structs.fields(GdkYml))
