"""A real bitcoind on regtest: random credentials in a file of mode 600, ready when its RPC answers."""

import os
import secrets
from pathlib import Path

from deploy.local import ports, process
from deploy.local.errors import LocalStackError
from deploy.local.rpc import Rpc, RpcError
from deploy.local.secrets_file import SecretsFile

CONFIG = {
    "server": "1",
    "dnsseed": "0",
    "discover": "0",
    "fixedseeds": "0",
    "rpcthreads": "8",
    "rpcworkqueue": "64",
    "rpcbind": ports.HOST,
    "rpcallowip": ports.HOST,
    # Standard output becomes the log that the stack shows; one copy is enough.
    "debuglogfile": "0",
    "printtoconsole": "1",
}


class Node:
    """One node; its data directory is ``state_dir/node``. ``options`` are further lines of bitcoin.conf."""

    def __init__(
        self,
        state_dir: Path,
        argv: list[str],
        *,
        listen: bool = False,
        options: dict[str, str] | None = None,
    ) -> None:
        self.state_dir = state_dir
        self.data_dir = state_dir / "node"
        self.argv = argv
        self.listen = listen
        self.options = dict(options or {})
        self.port = 0
        self.peer_port = 0
        self.zmq_port = 0
        self.process: process.Process | None = None
        self._file = SecretsFile(state_dir / "node.json")

    @property
    def pid(self) -> int:
        """The node's process id."""
        if self.process is None:
            raise LocalStackError("The node was not started.")
        return self.process.pid

    @property
    def url(self) -> str:
        """Where the RPC answers, with its credentials."""
        return f"http://govpay:{self._password()}@{ports.HOST}:{self.port}"

    @property
    def rpc(self) -> Rpc:
        """A client of this node."""
        return Rpc(self.url)

    def start(self) -> None:
        """Start the node, on the ports it had if they are free, and wait till its RPC answers."""
        process.end_leftover(self.state_dir, "node")
        known = self._file.read()
        self.port = ports.choose(self.port or int(known.get("port", "0")))
        self.peer_port = (
            ports.choose(self.peer_port or int(known.get("peer_port", "0"))) if self.listen else 0
        )
        self.zmq_port = ports.choose(self.zmq_port or int(known.get("zmq_port", "0")))
        self._file.write(port=str(self.port), peer_port=str(self.peer_port), zmq_port=str(self.zmq_port))
        self._write_config()
        self.process = process.start(
            "node",
            [*self.argv, f"-datadir={self.data_dir}"],
            state_dir=self.state_dir,
            environment={
                "PATH": os.environ.get("PATH", os.defpath),
                "LC_ALL": "C",
                "HOME": str(self.data_dir),
            },
            grace_s=20,
        )
        process.wait_ready(self.process, self._answers, timeout_s=60)

    def stop(self) -> None:
        """Stop in order: wallets and chain are written out."""
        if self.process is not None:
            self.process.stop(timeout_s=30)

    def kill(self) -> None:
        """End the node with SIGKILL."""
        if self.process is not None:
            self.process.kill()

    def restart(self, **options: str) -> None:
        """Stop and start on the same ports, with these lines of bitcoin.conf added or changed."""
        self.stop()
        self.options.update(options)
        self.start()

    def _password(self) -> str:
        return self._file.keep("password", lambda: secrets.token_hex(24))

    def _write_config(self) -> None:
        self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        lines = CONFIG | {"rpcport": str(self.port), "rpcuser": "govpay", "rpcpassword": self._password()}
        lines["zmqpubhashblock"] = f"tcp://{ports.HOST}:{self.zmq_port}"
        if self.listen:
            lines |= {"listen": "1", "bind": f"{ports.HOST}:{self.peer_port}", "listenonion": "0"}
        else:
            lines |= {"listen": "0"}
        lines |= self.options
        path = self.data_dir / "bitcoin.conf"
        path.touch(mode=0o600)
        path.write_text(
            "regtest=1\n[regtest]\n" + "".join(f"{name}={value}\n" for name, value in lines.items())
        )

    def _answers(self) -> bool:
        try:
            Rpc(self.url, timeout_s=5).call("getblockchaininfo")
        except (OSError, RpcError):
            return False
        return True
