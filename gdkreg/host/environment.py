"""What a service of ours takes over from the environment of whoever starts it: what it needs to run at all, and no token.

Secrets that the registry needs stand in registry.config, or in the files of its home, as ~/.aws/credentials.
"""

from __future__ import annotations

from collections.abc import Mapping

_NEEDED = frozenset(
    ["PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR"]
)
_PROXIES = frozenset(["http_proxy", "https_proxy"])


def of_a_service(env: Mapping[str, str], *, reaches_out: bool = False) -> dict[str, str]:
    """`reaches_out`: a proxy leads it to other machines, as a pull-through cache; without a name and password, which every
    process of this user could read from it."""
    kept = {key: value for key, value in env.items() if key in _NEEDED or key.startswith("LC_")}
    for key, value in env.items() if reaches_out else ():
        if key.lower() in _PROXIES:
            scheme, slashes, place = value.rpartition("://")
            kept[key] = scheme + slashes + place.rpartition("@")[2]
        elif key.lower() == "no_proxy":
            kept[key] = value
    return kept
