"""A proxy between govpay and its node that loses requests or replies of chosen RPC methods."""

import http.client
import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


class NodeProxy:
    """Forwards HTTP to the node; ``faults`` maps a method to how many of its calls still fail, and how.

    ``swallow``: the node gets the request, nobody gets the reply (F12). ``drop``: the node never sees it (F13).
    ``busy``: 503 in plain text (F15).
    """

    def __init__(self, node_url: str) -> None:
        self.parts = urlsplit(node_url)
        self.faults: dict[str, tuple[str, int]] = {}
        self.seen: Counter[str] = Counter()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                proxy.answer(self)

            def log_message(self, format: str, *arguments: Any) -> None:
                """Keep the test's output readable."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """The address to give to govpay."""
        login = f"{self.parts.username}:{self.parts.password}"
        return f"http://{login}@127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> "NodeProxy":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def fail(self, method: str, how: str, times: int = 1) -> None:
        """Let the next calls of a method fail."""
        self.faults[method] = (how, times)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Forward one call, or do it wrong."""
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        method = json.loads(body)["method"]
        self.seen[method] += 1
        how, times = self.faults.get(method, ("pass", 0))
        if times > 0:
            self.faults[method] = (how, times - 1)
        else:
            how = "pass"
        if how == "drop":
            handler.close_connection = True
            return
        status, reply = (503, b"Work queue depth exceeded") if how == "busy" else self.forward(handler, body)
        if how == "swallow":
            handler.close_connection = True
            return
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(reply)))
        handler.end_headers()
        handler.wfile.write(reply)

    def forward(self, handler: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes]:
        """Ask the real node."""
        connection = http.client.HTTPConnection(self.parts.hostname or "", self.parts.port, timeout=60)
        try:
            headers = {"Authorization": handler.headers["Authorization"], "Content-Type": "application/json"}
            connection.request("POST", handler.path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()
