"""What of a GitLab the tests need: /jwt/auth over TLS, with a certificate that only the system's store may know."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from gdkreg.resources import x509
from tests.certs import dated
from tests.e2e.box import Box, child

# For gdk.yml, so that GitLab's address is the one below.
KEYS = "  token_issuer: auto\nhttps: {enabled: true}\nport: 3443\nlisten_address: 172.16.123.1\n"
_SERVER = """
import base64, http.server, json, ssl, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        who = base64.b64decode(self.headers.get("Authorization", "Basic Og==").split()[1]).decode()
        answer = sys.argv[2] or json.dumps({"token": "a.token.of-" + who})
        open(sys.argv[1] + ".log", "a").write(self.headers["Host"] + " " + who + "\\n")
        self.send_response(int(sys.argv[3])); self.end_headers(); self.wfile.write(answer.encode())
    def log_message(self, *_): pass
server = http.server.HTTPServer(("172.16.123.1", 3443), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); context.load_cert_chain(sys.argv[1])
server.socket = context.wrap_socket(server.socket, server_side=True); server.serve_forever()
"""


def start(box: Box, answer: str = "", status: int = 200) -> tuple[subprocess.Popen[str], Path]:
    """Tokens that name who asked, or always this answer; with the PEM of its certificate. Host and user are logged to PEM.log."""
    pem = box.folder / "gitlab.pem"
    if not pem.exists():
        key = x509.new_tls_key()
        pem.write_bytes(x509.pem(key) + dated(key, "gdk.test", -1, 20))
    running = box.popen("python3", "-c", _SERVER, str(pem), answer, str(status))
    deadline = time.monotonic() + 5
    while not box.listeners(3443):
        assert time.monotonic() < deadline
    return running, pem


def stop(running: subprocess.Popen[str]) -> None:
    os.kill(child(running.pid), signal.SIGKILL)
    running.wait()
