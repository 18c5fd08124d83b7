"""The API as one of its users calls it: JSON over HTTP, and nothing of govpay's code."""

import http.client
import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


class Refused(Exception):
    """The API answered with problem details."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        super().__init__(f"{status} {problem.get('code')}: {problem.get('detail')}")
        self.status = status
        self.code = str(problem.get("code"))
        self.problem = problem


class Client:
    """One signed-in user."""

    def __init__(self, web_url: str, username: str, password: str) -> None:
        self.address = urlsplit(web_url).netloc
        self.token = ""
        self.username = username
        self.token = self.post("auth/login/", username=username, password=password)["token"]

    def get(self, path: str) -> Any:
        """Read one thing."""
        return self._call("GET", path)

    def post(self, path: str, **body: Any) -> Any:
        """Do one thing, once: the idempotency key makes a repetition harmless."""
        return self._call("POST", path, json.dumps(body).encode(), "application/json")

    def upload(self, path: str, file: Path, **fields: str) -> Any:
        """Send a file with form fields."""
        boundary = secrets.token_hex(16)
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        ]
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{file.name}"\r\n'
            "Content-Type: text/csv\r\n\r\n"
        )
        body = (
            "".join(parts).encode() + head.encode() + file.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
        )
        return self._call("POST", path, body, f"multipart/form-data; boundary={boundary}")

    def pages(self, path: str) -> Iterator[dict[str, Any]]:
        """Yield every row of a list, page by page."""
        page = self.get(f"{path}?page_size=500")
        while True:
            yield from page["results"]
            if page["next"] is None:
                return
            page = self.get(page["next"].partition("/api/v1/")[2])

    def _call(self, method: str, path: str, body: bytes | None = None, content_type: str = "") -> Any:
        headers = {"Accept": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if body is not None:
            headers |= {"Content-Type": content_type, "Idempotency-Key": secrets.token_hex(16)}
        connection = http.client.HTTPConnection(self.address, timeout=120)
        try:
            connection.request(method, f"/api/v1/{path}", body, headers)
            response = connection.getresponse()
            answer = json.loads(response.read() or b"{}")
        finally:
            connection.close()
        if response.status >= 400:
            raise Refused(response.status, answer)
        return answer
