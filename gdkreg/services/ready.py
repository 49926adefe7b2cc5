"""Asking a registry whether it is there: GET /v2/ at its own address, and is it the right certificate."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
from pathlib import Path
from typing import Literal

import msgspec

Verdict = Literal["ready", "refused", "no route", "no answer", "no tls", "other certificate", "not a registry"]


class Answer(msgspec.Struct, frozen=True):
    """`status` is the HTTP status of /v2/, `server` and `date` its headers of these names."""

    verdict: Verdict
    detail: str = ""
    status: int = 0
    server: str = ""
    date: str = ""


def ask(address: str, port: int, certificate: Path | None, timeout: float = 2.0) -> Answer:
    """What answers at this address; `certificate` is the PEM it has to show, None for plain HTTP."""
    try:
        with socket.create_connection((address, port), timeout=timeout) as plain:
            # Else the request waits 40 ms for an acknowledgement of the handshake.
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if certificate is None:
                return _exchange(plain, address, port)
            wanted = first_certificate(certificate)
            with _context().wrap_socket(plain, server_hostname=None) as secure:
                if secure.getpeercert(binary_form=True) != wanted:
                    return Answer("other certificate", "it shows a certificate that is not registry_host.crt")
                return _exchange(secure, address, port)
    except ConnectionRefusedError:
        return Answer("refused", "nothing listens there")
    except ssl.SSLError as error:
        plain_http = "WRONG_VERSION_NUMBER" in str(error) or "RECORD_LAYER" in str(error) or "HTTP_REQUEST" in str(error)
        return Answer("no tls" if plain_http else "no answer", str(error))
    except TimeoutError:
        return Answer("no answer", f"no answer within {timeout:g} s")
    except OSError as error:
        return Answer("no route" if error.errno in {99, 101, 113, 49, 65} else "no answer", str(error))


def first_certificate(path: Path) -> bytes:
    """The DER of a PEM file's first certificate, whatever text stands around it; empty where there is none."""
    found = re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", path.read_text(errors="replace"), re.DOTALL)
    try:
        return ssl.PEM_cert_to_DER_cert(found[0]) if found else b""
    except ValueError:
        return b""


def _context() -> ssl.SSLContext:
    """No chain is checked: the certificate is compared whole, which is stricter."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _exchange(sock: socket.socket, address: str, port: int) -> Answer:
    sock.sendall(f"GET /v2/ HTTP/1.1\r\nHost: {address}:{port}\r\nConnection: close\r\nAccept: */*\r\n\r\n".encode())
    response = http.client.HTTPResponse(sock)
    try:
        response.begin()
    except (http.client.HTTPException, ValueError) as error:
        return Answer("not a registry", f"{type(error).__name__}: {error}")
    server = response.headers.get("Server", "")
    is_registry = "registry/2.0" in response.headers.get("Docker-Distribution-Api-Version", "")
    if response.status in {200, 401} and is_registry:
        return Answer("ready", status=response.status, server=server, date=response.headers.get("Date", ""))
    if response.status == 400 and certificate_expected(response):
        return Answer("not a registry", "it speaks TLS, and plain HTTP was expected", response.status, server)
    return Answer("not a registry", f"/v2/ answered {response.status}", response.status, server)


def certificate_expected(response: http.client.HTTPResponse) -> bool:
    """Go answers a plain request on a TLS port with this sentence."""
    return b"HTTP request to an HTTPS server" in response.read(200)
