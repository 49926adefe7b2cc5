"""start tunnel publishes a developer's machine: who can reach what then is said, and asked once."""

from __future__ import annotations

from gdkreg.config.effective import Settings
from gdkreg.errors import GdkregError
from gdkreg.plan import reconcile
from gdkreg.plan.actions import Step
from gdkreg.plan.outcome import Listener
from gdkreg.plan.preview import Preview
from gdkreg.resources import published
from gdkreg.services.tunnel import command
from gdkreg.verbs.root import Root
from gdkreg.verbs.work import DeclinedError


def told(settings: Settings) -> list[str]:
    """Who can reach what while the tunnel runs."""
    near, port = command.inner(settings)
    tunnel, far = settings.auto_devops.tunnel, command.far_port(settings)
    tokens = "gdkreg's stand-in, which is asked on this machine alone: hand out gdkreg token"
    if settings.issuer != "local":
        tokens = f"GitLab at {settings.realm}, whose own tunnel is GDK's: gdk start tunnel_gitlab"
    return [
        f"! The tunnel publishes the registry of this machine, {near}:{port}, while it runs:",
        f"    everybody on the internet who reaches https://{settings.authority} or port {far} of {tunnel.host} reaches it",
        "    they need a token to see, pull or push anything; with one for pushing they can fill this disk",
        f"    tokens come from {tokens}",
        *_plain(settings),
    ]


def _plain(settings: Settings) -> list[str]:
    if settings.registry.self_signed:
        return ["    the registry speaks TLS itself (registry.self_signed); the QA tunnel's end expects plain HTTP behind it"]
    return [f"    from {settings.auto_devops.tunnel.host} on it is plain HTTP, unless something there puts TLS before it"]


def agree(root: Root, settings: Settings, preview: Preview, listener: Listener, *, dry_run: bool) -> list[Step]:
    """The step that keeps in mind that a person agreed; none where that is known. Raises `GdkregError` where nobody does."""
    if published.is_agreed(settings, root.reader):
        return []
    agreed = dry_run or listener.publish(told(settings))
    if agreed is False:
        raise DeclinedError
    if agreed is None:
        raise GdkregError(
            "the tunnel is not started: nobody agreed to publish this registry",
            details="\n".join(line.removeprefix("! ") for line in told(settings)),
            fix="gdkreg start tunnel --yes",
        )
    return reconcile.plan([root.inventory(settings).published()], preview, present=True)
