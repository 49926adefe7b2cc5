"""The few calls of the engine's API that the registry's life needs.

The docker SDK takes a tenth of a second to load, which is a third of `start`; so a local socket is spoken to directly, and
the SDK serves every other endpoint, and what streams (pulls, logs).
"""

from __future__ import annotations

import http.client
import json
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from gdkreg.errors import GdkregError

if TYPE_CHECKING:
    import docker


class EngineError(GdkregError):
    """The engine said no, or nothing; `status` is its answer's, 0 where there was none; `absent`: nobody listens there."""

    def __init__(self, message: str, status: int = 0, *, absent: bool = False) -> None:
        super().__init__("the container engine does not do what it should", why=message, fix="docker info; gdkreg doctor")
        self.status = status
        self.absent = absent


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Api:
    """One engine. `url` is as in DOCKER_HOST; `client` gives the SDK's client of it, made when it is needed."""

    def __init__(self, url: str, client: Any) -> None:
        self._socket = url.removeprefix("unix://") if url.startswith("unix://") else ""
        self._client = client
        self.server = ""  # the Server header of the last answer, where the socket was spoken to directly
        self.images: dict[str, dict[str, Any]] = {}  # what was asked already, by name

    @property
    def sdk(self) -> docker.DockerClient:
        """Raises `docker.errors.DockerException`."""
        client: docker.DockerClient = self._client()
        return client

    def call(self, method: str, path: str, *, query: dict[str, Any] | None = None, body: Any = None, timeout: float = 60) -> Any:
        """The answer's JSON; None for an empty one. Raises `EngineError`."""
        words = {key: json.dumps(value) if isinstance(value, (dict, list)) else value for key, value in (query or {}).items()}
        where = f"{path}?{urlencode(words)}" if words else path
        status, raw = self._local(method, where, body, timeout) if self._socket else self._elsewhere(method, where, body, timeout)
        if status >= 400:
            raise EngineError(_message(raw) or f"{method} {path} answered {status}", status)
        try:
            return json.loads(raw) if raw.strip() else None
        except ValueError:
            raise EngineError(f"{method} {path} answered what is no JSON", status) from None

    def _local(self, method: str, where: str, body: Any, timeout: float) -> tuple[int, bytes]:
        connection = _UnixConnection(self._socket, timeout)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, where, body=text, headers={"Content-Type": "application/json"} if text else {})
            answer = connection.getresponse()
            self.server = answer.headers.get("Server", "")
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            absent = isinstance(error, (ConnectionRefusedError, FileNotFoundError))
            raise EngineError(str(error) or type(error).__name__, absent=absent) from None
        finally:
            connection.close()

    def _elsewhere(self, method: str, where: str, body: Any, timeout: float) -> tuple[int, bytes]:
        from docker.errors import DockerException
        from requests.exceptions import RequestException

        try:
            api = self.sdk.api
            answer = api.request(method, f"{api.base_url}{where}", json=body, timeout=timeout)
            return answer.status_code, answer.content
        except (DockerException, RequestException) as error:
            raise EngineError(str(error)) from None


def _message(raw: bytes) -> str:
    try:
        found = json.loads(raw)
    except ValueError:
        return raw.decode(errors="replace").strip()[:300]
    text = str(found.get("message", "")) if isinstance(found, dict) else ""
    return text.replace("driver failed programming external connectivity on endpoint", "").strip()
