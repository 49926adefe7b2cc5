"""A server of NGINX's that ends TLS before this registry."""

from __future__ import annotations

from gdkreg.config.effective import Settings
from gdkreg.errors import GdkregError
from gdkreg.exports import standing, template


def render(settings: Settings) -> str:
    """Raises `GdkregError` where NGINX could not read a path."""
    root, registry = settings.root, settings.registry
    if "$" in str(root):
        raise GdkregError(f"{root} has a $ in it", why="NGINX takes what follows for a variable", fix="rename the folder")
    certificate, key = root / "registry_host.crt", root / "registry_host.key"
    values = {
        "host": settings.host,
        "tls": registry.self_signed,
        "listen": f"{settings.address}:{port(settings)}",
        "certificate": template.quoted(str(certificate if registry.self_signed else f"/etc/ssl/certs/{settings.host}.crt")),
        "certificate_key": template.quoted(str(key if registry.self_signed else f"/etc/ssl/private/{settings.host}.key")),
        "upstream": f"{settings.scheme}://{settings.address}:{registry.port}",
    }
    return template.fill("export/nginx.conf.j2", **standing.values(settings), **values)


def port(settings: Settings) -> int:
    """Where NGINX listens: the registry has its own port."""
    external = settings.registry.external_port or settings.registry.port
    return external if external != settings.registry.port else 443


def notes(settings: Settings) -> list[str]:
    """What gdk.yml has to say for it."""
    found, fixes = [], []
    if settings.registry.external_port != port(settings):
        fixes.append(f"gdkreg config set registry.external_port {port(settings)}")
    http = settings.registry.config.get("http")
    if not (isinstance(http, dict) and http.get("relativeurls")):
        fixes.append("gdkreg config set registry.config.http.relativeurls true")
    if fixes:
        line = "; ".join([*fixes, "gdkreg reconfigure", "gdkreg restart registry"])
        found.append(f"! images are then named by NGINX's port, and uploads go on there\n    {line}")
    if not settings.registry.self_signed:
        found.append(
            f"! gdkreg makes no certificate with registry.self_signed false: put one where the file says, for {settings.host}"
        )
    return found
