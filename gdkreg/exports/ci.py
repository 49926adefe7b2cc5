"""A .gitlab-ci.yml for this registry: an image from it, a build that pushes to it, container scanning, Auto DevOps."""

from __future__ import annotations

import json
from typing import Literal

from gdkreg.config.effective import Settings
from gdkreg.config.values import image_problem, is_loopback
from gdkreg.errors import ConfigError, GdkregError
from gdkreg.exports import standing, template
from gdkreg.host.base import HostReader
from gdkreg.masking.text import visible
from gdkreg.resources import runner_config

Kind = Literal["image", "build", "scan", "auto-devops"]
Analyzer = Literal["cs", "klar"]


def render(
    kind: Kind, settings: Settings, host: HostReader, *, image: str = "", analyzer: Analyzer = "cs", certificate: bool = True
) -> str:
    """The file's text. `image` is the repository of `image`; the scanner is given registry_host.crt where it is self-signed and
    `certificate` is set, else it checks none. Raises `GdkregError` where that is not made yet."""
    values = standing.values(settings)
    if kind == "image":
        return template.fill("ci/image.yml.j2", **values, image=_reference(settings, image))
    given = certificate and kind in {"scan", "auto-devops"} and standing.reach(settings) == "self-signed"
    values |= {"runner": _runner(settings, host), "klar": analyzer == "klar"}
    return template.fill(f"ci/{kind}.yml.j2", **values, certificate=_certificate(settings, host) if given else "")


def notes(kind: Kind, settings: Settings) -> list[str]:
    """What stands in the way of such a pipeline here."""
    if kind == "image" or settings.auto_devops.enabled or not is_loopback(settings.address):
        return []
    fix = "gdkreg config set registry.listen_address 172.16.123.1; gdkreg up"
    return [f"! in a job {settings.address} is the job's container itself, so it does not reach the registry\n    {fix}"]


def _reference(settings: Settings, image: str) -> str:
    reference = f"{settings.authority}/{image.removeprefix(settings.authority + '/')}"
    if problem := image_problem(reference):
        raise ConfigError(f"--image {visible(image)}: {problem}", fix="gdkreg ci image --image group/app:1")
    return reference


def _certificate(settings: Settings, host: HostReader) -> str:
    path = settings.root / "registry_host.crt"
    content = host.read(path)
    if content is None:
        raise GdkregError(f"{path} is missing", fix="gdkreg reconfigure")
    text = content.decode("utf-8", "replace").strip()
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    if not text.startswith(begin) or not text.endswith(end) or "PRIVATE KEY" in text:
        raise GdkregError(f"{path} holds more than certificates, or none", fix="gdkreg doctor")
    return text


def _runner(settings: Settings, host: HostReader) -> str:
    """What has to stand in the runner's config.toml, as comments."""
    wanted = runner_config.wanted(settings, host.platform)
    rows = ["privileged = true"]
    if standing.reach(settings) == "self-signed":
        rows.append(f"volumes = [{json.dumps(wanted.mount)}]")
    if wanted.hosts:
        pairs = [f"{name}:{address}" for name, address in wanted.hosts.items()]
        rows.append(f"extra_hosts = {json.dumps(pairs)}")
    told = "; gdkreg runner-patch writes all but the first" if rows[1:] else ""
    return "\n".join([f"# [runners.docker] in the runner's config.toml needs this{told}:", *(f"#   {row}" for row in rows)])
