"""Which files `insecure on` has to do with in one root, and which of them it can have written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gdkreg.config.effective import Settings
from gdkreg.config.values import is_loopback
from gdkreg.engines.detect import Engine
from gdkreg.engines.insecure import Seen, podman_folder
from gdkreg.host.base import HostReader
from gdkreg.options import Options
from gdkreg.plan.journal import Journal
from gdkreg.resources.insecure import MARK, Insecure, podman_file
from gdkreg.resources.owned import OwnedFiles

MakeFiles = Callable[[str, Callable[[Path], bool], Callable[[bytes], bool]], OwnedFiles]


def marked(settings: Settings, host: HostReader, journal: Journal) -> list[Path]:
    """The files that carry our mark, where there is no journal to tell of them."""
    if journal.entries:
        return []
    return [path for path in _tables(settings, host, journal) if (host.read(path) or b"").startswith(MARK)]


def _tables(settings: Settings, host: HostReader, journal: Journal) -> list[Path]:
    config = Path(host.platform.env.get("XDG_CONFIG_HOME") or host.platform.home / ".config")
    folders = (Path("/etc/containers/registries.conf.d"), config / "containers/registries.conf.d")
    return [settings.root / "registry" / "buildkitd.toml", *(podman_file(folder, journal.identity.id) for folder in folders)]


def insecure(
    settings: Settings,
    host: HostReader,
    journal: Journal,
    options: Options,
    files_of: MakeFiles,
    ask: Callable[[], tuple[Engine, Seen]],
) -> Insecure:
    """The resource. `ask` tells how the engine stands to its list now."""
    platform, tables = host.platform, _tables(settings, host, journal)
    buildkit, *confs = tables
    conf_d, docker_config = [path.parent for path in confs], confs[1].parents[2] / "docker"
    known = {path: owned.as_root for path, owned in journal.owned().items() if owned.resource == "insecure"}
    lost = marked(settings, host, journal)
    known |= {path: path == confs[0] for path in lost}
    whole = {*tables, *known}
    above = {folder for leaf in conf_d for folder in (leaf, *leaf.parents[:2])} | {buildkit.parent}
    docker = {Path("/etc/docker"), docker_config}

    def mine(path: Path) -> bool:
        named = path.name == "daemon.json" and path.parent in docker
        return named or path in whole | above | docker or path == ask()[1].config

    asked = options.insecure or bool(known)
    wanted = asked and not settings.registry.self_signed and not is_loopback(settings.address)
    # An engine that does not answer just now keeps its file.
    podman = next(((path, as_root) for path, as_root in known.items() if path in confs), None)
    if wanted and podman is None and (place := podman_folder(ask()[0], platform)):
        podman = (podman_file(place[0], journal.identity.id), place[1])
    return Insecure(
        authority=settings.authority,
        address=settings.address,
        wanted=wanted,
        files=files_of("insecure", mine, lambda content: content.startswith(MARK)),
        look=lambda: ask()[1],
        podman=podman,
        buildkit=buildkit,
        named=options.insecure,
        lost=bool(lost),
    )
