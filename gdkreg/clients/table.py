"""The clients, a row each: where its trust is told, where it keeps its login, how it is asked, how its errors look."""

from __future__ import annotations

import re
import shlex
from typing import Literal

import msgspec

from gdkreg.config.effective import Settings
from gdkreg.host.base import System

# certs.d: a folder that `trust-docker-registry` writes; builder: BuildKit's own; variable: it names the one file.
Trust = Literal["certs.d", "containerd", "builder", "variable"]
Store = Literal["docker", "containers", "helm", "regctl", ""]
GO, PYTHON = "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"


class Client(msgspec.Struct, frozen=True):
    """One client. `login`, `logout` and `ask` are words with {authority}, {user} and {reference}; `plain` is the option for a
    registry without TLS; `says` matches an error in its own words. `program` is empty for a library."""

    name: str
    trust: Trust
    program: str = ""
    variable: str = ""
    store: Store = ""
    login: str = ""
    logout: str = ""
    plain: str = ""
    ask: str = ""
    says: str = ""


def _like_docker(name: str, says: str, plain: str = "", **more: str) -> Client:
    login = f"{name} login --username {{user}} --password-stdin {{authority}}"
    rest = {"program": name, "login": login, "logout": f"{name} logout {{authority}}", "plain": plain, "says": says}
    return msgspec.convert(
        {"name": name, "trust": "certs.d", "store": "containers", "ask": f"{name} pull {{reference}}"} | rest | more, Client
    )


# In the order in which errors are told apart: the special words first.
CLIENTS = (
    Client("curl", "variable", "curl", "CURL_CA_BUNDLE", ask="curl https://{authority}/v2/", says=r"curl: \(\d+\)"),
    _like_docker("docker", r"error response from daemon", store="docker"),
    _like_docker("nerdctl", r"\bnerdctl\b", "--insecure-registry", store="docker"),
    Client(
        "containerd",
        "containerd",
        "ctr",
        ask="ctr images pull --hosts-dir /etc/containerd/certs.d {reference}",
        says=r"\bctr: |rpc error: code|failed to pull and unpack image|failed to resolve reference",
    ),
    Client(
        "buildx",
        "builder",
        "docker-buildx",
        GO,
        "docker",
        ask="docker buildx build --pull .",
        says=r"failed to (?:solve|resolve source metadata|push \S+:)",
    ),
    _like_docker("podman", r"\bpodman\b|pinging container registry|initializing source docker://", "--tls-verify=false"),
    _like_docker("buildah", r"\bbuildah\b", "--tls-verify=false"),
    _like_docker(
        "skopeo",
        r"\bskopeo\b|level=fatal msg=\"Error (?:parsing|initializing)",
        "--tls-verify=false",
        ask="skopeo inspect docker://{reference}",
    ),
    Client("dxf", "variable", "dxf", "DXF_TLSVERIFY", ask="dxf list-aliases REPOSITORY", says=r"\bdxf\b"),
    Client(
        "oras-py",
        "variable",
        "",
        PYTHON,
        "docker",
        ask="oras.client.OrasClient().pull(REFERENCE)",
        says=r"\boras[/.]\w+\.py|\boras\.\w+",
    ),
    Client(
        "requests",
        "variable",
        "",
        PYTHON,
        ask="requests.get('https://{authority}/v2/')",
        says=r"HTTPSConnectionPool|CERTIFICATE_VERIFY_FAILED|SSLCertVerificationError",
    ),
    Client(
        "npm",
        "variable",
        "node",
        "NODE_EXTRA_CA_CERTS",
        ask="a registry client of npm's",
        says=r"DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_VERIFY_LEAF_SIGNATURE|\bnode:|Node\.js|\bnpm\b",
    ),
    Client(
        "helm",
        "variable",
        "helm",
        GO,
        "helm",
        "helm registry login {authority} --username {user} --password-stdin",
        "helm registry logout {authority}",
        "--plain-http",
        "helm pull oci://{reference}",
        r"\bhelm\b|\bINSTALLATION FAILED",
    ),
    Client(
        "oras",
        "variable",
        "oras",
        GO,
        "docker",
        "oras login {authority} --username {user} --password-stdin",
        "oras logout {authority}",
        "--plain-http",
        "oras pull {reference}",
        r"\boras\b",
    ),
    Client(
        "regctl",
        "variable",
        "regctl",
        GO,
        "regctl",
        "regctl registry login {authority} --user {user} --pass-stdin",
        "regctl registry logout {authority}",
        ask="regctl manifest get {reference}",
        says=r"\bregctl\b",
    ),
    Client(
        "crane",
        "variable",
        "crane",
        GO,
        "docker",
        "crane auth login {authority} --username {user} --password-stdin",
        "crane auth logout {authority}",
        "--insecure",
        "crane manifest {reference}",
        r"\bcrane\b|\bfetching manifest\b|^Error: [^\n]*(?:Get|Head|Post) \"https?://",
    ),
)
BY_NAME = {client.name: client for client in CLIENTS}
LOG_IN = tuple(client.name for client in CLIENTS if client.login)


def of_error(text: str) -> Client | None:
    """Whose words an error is in; None where they tell it not."""
    return next((client for client in CLIENTS if re.search(client.says, text, re.IGNORECASE | re.MULTILINE)), None)


def certificate(settings: Settings) -> str:
    """registry_host.crt, as a word of a shell."""
    return shlex.quote(str(settings.root / "registry_host.crt"))


def export(client: Client, settings: Settings) -> str:
    """The line of a shell that has it trust registry_host.crt; empty where no variable does."""
    return f"export {client.variable}={certificate(settings)}" if client.variable else ""


def trusting(client: Client | None, settings: Settings, system: System, reference: str = "") -> str:
    """The command after which a client trusts registry_host.crt. `reference`: the image that it was asked for, where known."""
    if not settings.registry.self_signed:  # there is no certificate that anybody could trust
        return "gdkreg config set registry.self_signed true; gdkreg up"
    if client is None or client.trust == "certs.d":
        return "gdkreg trust-docker-registry"
    if client.trust == "builder":
        return "gdkreg verify --client buildx"
    if client.trust == "containerd":
        put = "gdkreg trust-docker-registry --client containerd"
        asked = client.ask.format(reference=reference or f"{settings.authority}/NAME", authority=settings.authority)
        return f"{put} && {asked}"
    if client.variable == GO and system == "darwin":  # Go asks the keychain there
        return f"security add-trusted-cert -r trustRoot {certificate(settings)}"
    return export(client, settings)
