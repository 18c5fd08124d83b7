"""The whole stack in one object: services, secrets, migrations, web, workers and beat, and their end."""

import contextlib
import fcntl
import http.client
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from deploy.local import bitcoind, ports, process
from deploy.local.errors import LocalStackError
from deploy.local.node import Node
from deploy.local.postgres import Postgres
from deploy.local.redis import Redis
from deploy.local.secrets_file import SecretsFile

ROOT = Path(__file__).resolve().parent.parent.parent
DEBIAN_CACHE = ROOT / "var" / "debian"
WEB_PORT = 8000
QUEUES = ("work", "rounds", "webhooks")
LOCK = "lock"


class Stack:
    """A stack whose state is one directory; a context manager that leaves no process behind.

    ``fresh`` deletes the state of earlier runs; ``durable=False`` lets PostgreSQL skip fsync, for tests.
    ``outside`` is the environment to start from, the process's own by default: DATABASE_URL, REDIS_URL and
    GOVPAY_NODE_URL in it each replace a part by an outside one. ``settings`` hold where it says nothing.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        fresh: bool = False,
        durable: bool = True,
        outside: Mapping[str, str] | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.state_dir = state_dir.resolve()
        self.outside = dict(os.environ if outside is None else outside)
        self.settings = dict(settings or {})
        self.fresh = fresh
        self.durable = durable
        self.postgres: Postgres | None = None
        self.redis: Redis | None = None
        self.node: Node | None = None
        self.processes: list[process.Process] = []
        self.web_url = ""
        self._file = SecretsFile(self.state_dir / "stack.json")
        self._lock: IO[str] | None = None

    def __enter__(self) -> Self:
        self._take_lock()
        try:
            self._end_leftovers()
            if self.fresh:
                self._wipe()
        except BaseException:
            self._drop_lock()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start_services(self) -> None:
        """Start what no variable of the environment replaces; raise LocalStackError in one sentence."""
        network = self.outside.get("GOVPAY_NETWORK", "regtest")
        if network != "regtest" and "GOVPAY_NODE_URL" not in self.outside:
            raise LocalStackError(
                f"The local node is regtest only: name a {network} node in GOVPAY_NODE_URL."
            )
        if "DATABASE_URL" not in self.outside:
            self.postgres = Postgres(self.state_dir, fsync=self.durable)
            self.postgres.start()
        if "REDIS_URL" not in self.outside:
            self.redis = Redis(self.state_dir)
            self.redis.start()
        if "GOVPAY_NODE_URL" not in self.outside:
            self.node = Node(self.state_dir, bitcoind.find(DEBIAN_CACHE))
            self.node.start()

    def environment(self, *, owner: bool = False) -> dict[str, str]:
        """Return the caller's environment and every setting of govpay; ``owner`` connects as the owner."""
        made = {
            "GOVPAY_NETWORK": "regtest",
            # Its accounts and passwords are public anyway; whoever enrolls is asked for codes.
            "GOVPAY_SECOND_FACTOR": "optional",
            # Whoever tries it out wants to see what was paid just now.
            "GOVPAY_TRANSPARENCY_S": "60",
            "GOVPAY_SECRET_KEY": self._file.keep("secret_key", lambda: secrets.token_urlsafe(48)),
            "GOVPAY_IDENTITY_KEY": self._file.keep("identity_key", lambda: secrets.token_hex(32)),
            "GOVPAY_FIELD_KEYS": self._file.keep("field_keys", lambda: "k1:" + secrets.token_hex(32)),
            "GOVPAY_APPROVAL_KEYS": self._file.keep("approval_keys", lambda: "k1:" + secrets.token_hex(32)),
            "GOVPAY_SEAL_KEY": self._file.keep("seal_key", lambda: secrets.token_hex(32)),
            "PYTHONUNBUFFERED": "1",
        }
        if self.postgres is not None:
            made["DATABASE_URL"] = self.postgres.app_url
            made["GOVPAY_SEALER_DATABASE_URL"] = self.postgres.sealer_url
        if self.redis is not None:
            made["REDIS_URL"] = self.redis.url
        if self.node is not None:
            made["GOVPAY_NODE_URL"] = self.node.url
        found = made | self.settings | self.outside
        if owner:
            # An outside database may have one role for all; where it has two, the owner's is named apart.
            outside = self.outside.get("GOVPAY_OWNER_DATABASE_URL", found.get("DATABASE_URL", ""))
            found["DATABASE_URL"] = self.postgres.owner_url if self.postgres is not None else outside
        return found

    def migrate(self) -> None:
        """Bring the tables and the rights of the roles up to date, as the owner."""
        self.manage("migrate", "--no-input", owner=True)
        self.manage("grant_roles", owner=True)

    def manage(self, *words: str, owner: bool = False, timeout_s: float = 600) -> str:
        """Run a management command and return what it printed; raise LocalStackError with its last lines."""
        done = subprocess.run(
            [sys.executable, "manage.py", *words],
            check=False,
            cwd=ROOT,
            env=self.environment(owner=owner),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )
        if done.returncode != 0:
            tail = "\n".join((done.stdout + done.stderr).splitlines()[-12:])
            raise LocalStackError(f"manage.py {words[0]} answered {done.returncode}:\n{tail}")
        return done.stdout

    def start_web(self) -> process.Process:
        """Start the web process on port 8000, or a free one, and wait till it answers at ``web_url``."""
        port = ports.choose(WEB_PORT)
        self.web_url = f"http://{ports.HOST}:{port}"
        words = [
            "gunicorn",
            "govpay.wsgi:application",
            "--worker-class=gthread",
            "--threads=8",
            "--workers=1",
        ]
        words += [f"--bind={ports.HOST}:{port}", "--graceful-timeout=5", "--no-control-socket"]
        web = self.start_process("web", [sys.executable, "-m", *words])
        process.wait_ready(web, lambda: _answers_http(port), timeout_s=60)
        return web

    def start_worker(
        self, name: str, *, queues: Sequence[str] = QUEUES, concurrency: int = 1, **extra: str
    ) -> process.Process:
        """Start a Celery worker for some queues, all by default; ``extra`` are settings for it alone."""
        words = ["worker", "--pool=prefork", f"--concurrency={concurrency}", f"--hostname={name}@%h"]
        words += [f"--queues={','.join(queues)}"]
        words += ["--without-gossip", "--without-mingle", "--loglevel=INFO"]
        return self.start_process(name, [sys.executable, "-m", "celery", "-A", "govpay", *words], **extra)

    def start_rounds(self) -> process.Process:
        """Start the worker that reads blocks and sweeps; one round that hangs leaves the other pool child free."""
        return self.start_worker("rounds", queues=("rounds",), concurrency=2)

    def start_webhooks(self) -> process.Process:
        """Start the worker that tells receivers elsewhere; one that is slow leaves the other pool child free."""
        return self.start_worker("webhooks", queues=("webhooks",), concurrency=2)

    def start_listener(self) -> process.Process:
        """Start the process that reads a block as soon as the node announces it."""
        return self.start_process("listener", [sys.executable, "manage.py", "listen_blocks"])

    def start_beat(self) -> process.Process:
        """Start the scheduler."""
        words = ["beat", f"--schedule={self.state_dir / 'beat'}", "--pidfile=", "--loglevel=INFO"]
        return self.start_process("beat", [sys.executable, "-m", "celery", "-A", "govpay", *words])

    def start_process(self, name: str, argv: list[str], **extra: str) -> process.Process:
        """Start any program with the stack's environment, in the repository; it ends with the stack."""
        started = process.start(
            name,
            argv,
            state_dir=self.state_dir,
            environment=self.environment() | extra,
            directory=ROOT,
        )
        self.processes.append(started)
        return started

    def kill(self, victim: process.Process) -> None:
        """End a process and its children at once, with SIGKILL; nobody starts it again."""
        victim.kill()
        self.processes.remove(victim)

    def find_ended(self) -> process.Process | None:
        """Return a part that ended by itself, or None while all run."""
        services = [part.process for part in (self.postgres, self.redis, self.node) if part is not None]
        every = [*self.processes, *(found for found in services if found is not None)]
        return next((found for found in every if not found.is_running), None)

    def stop(self) -> None:
        """End everything in order: first what works, then what it works on."""
        for running in self.processes:
            running.send(signal.SIGTERM)
            running.send(signal.SIGCONT)
        # Not asked twice: some programs take a second request as leave to drop what they do.
        while self.processes:
            self.processes.pop().finish()
        for service in (self.node, self.redis, self.postgres):
            if service is not None:
                service.stop()
        self._drop_lock()

    def _take_lock(self) -> None:
        try:
            self.state_dir.mkdir(parents=True, exist_ok=True)
            handle = (self.state_dir / LOCK).open("a+")
        except PermissionError as error:
            raise LocalStackError(
                f"{error.filename} belongs to another user: delete {self.state_dir}, or clone as this user."
            ) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            handle.close()
            raise LocalStackError(
                f"Another run (process {holder}) uses {self.state_dir}: stop it first."
            ) from error
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        self._lock = handle

    def _drop_lock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _end_leftovers(self) -> None:
        # The launchers of a run that was killed end their programs themselves; this waits for them.
        for record in sorted((self.state_dir / "run").glob("*.json")):
            process.end_leftover(self.state_dir, record.stem)

    def _wipe(self) -> None:
        Postgres(self.state_dir).remove()
        for entry in self.state_dir.iterdir():
            if entry.name == LOCK:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()


def _answers_http(port: int) -> bool:
    connection = http.client.HTTPConnection(ports.HOST, port, timeout=10)
    with contextlib.closing(connection):
        try:
            connection.request("HEAD", "/")
            connection.getresponse()
        except (OSError, http.client.HTTPException):
            return False
    return True
