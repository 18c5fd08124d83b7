"""Runs the whole stack in the foreground till Ctrl-C: `make up`."""

import argparse
import os
import re
import shlex
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

from deploy.local.errors import LocalStackError
from deploy.local.logs import Stream
from deploy.local.process import Process
from deploy.local.stack import ROOT, Stack

STATE_DIR = ROOT / "var" / "up"
WORKERS = ("worker1", "worker2")
# Often, so that whoever tries it holds receipts and proofs within minutes; a real installation keeps the default.
SEALING = {"GOVPAY_CHECKPOINT_EVERY_S": "60", "GOVPAY_ANCHOR_PROGRAM": "PENSIONS"}
# A webhook's receiver is tried on this machine; the settings refuse it on every other network.
ON_REGTEST = {"GOVPAY_OUTBOUND_LOOPBACK": "true"}


def read_block_s() -> float:
    """Return the seconds between blocks from GOVPAY_BLOCK_S; 0 makes none."""
    raw = os.environ.get("GOVPAY_BLOCK_S", "5")
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", raw):
        raise LocalStackError(f"GOVPAY_BLOCK_S must be seconds, as 5 or 0.5, not {raw!r}.")
    return float(raw)


def settings_of(outside: Mapping[str, str]) -> dict[str, str]:
    """Return what this stack sets besides its keys and addresses; the environment goes before it."""
    return SEALING | (ON_REGTEST if outside.get("GOVPAY_NETWORK", "regtest") == "regtest" else {})


def start(stack: Stack, block_s: float) -> tuple[str, list[Process]]:
    """Start every part; return what `demo_accounts` said of the logins, and the processes of ours."""
    say("Starting PostgreSQL, Redis and bitcoind.")
    stack.start_services()
    say("Migrating the database.")
    stack.migrate()
    logins = stack.manage("demo_accounts")
    write_environment(stack)
    say("Starting the web process, four workers, the listener, the scheduler and the miner.")
    workers = [stack.start_worker(name, queues=("work",)) for name in WORKERS]
    parts = [stack.start_web(), *workers, stack.start_rounds(), stack.start_webhooks()]
    parts += [stack.start_listener(), stack.start_beat()]
    if stack.environment()["GOVPAY_NETWORK"] == "regtest" and block_s > 0:
        parts.append(start_miner(stack, block_s))
    return logins, parts


def run(stack: Stack) -> int:
    """Start every part, show the logs, and return 1 when a part ends by itself."""
    stream = Stream()
    logins, parts = start(stack, read_block_s())
    for part in parts:
        stream.follow(part)
    for service in (stack.postgres, stack.redis, stack.node):
        if service is not None and service.process is not None:
            # Pages of start-up notes would push the addresses off the screen.
            stream.follow(service.process, from_now=True)
    say(describe(stack, logins))
    while (ended := stack.find_ended()) is None:
        stream.show()
        time.sleep(0.1)
    stream.show()
    print(f"{ended.name} ended with code {ended.poll()}, so everything is stopped.", file=sys.stderr)
    return 1


def start_miner(stack: Stack, block_s: float) -> Process:
    """Start the process that makes a block every few seconds."""
    words = ["deploy.local.regtest", "--every", str(block_s)]
    return stack.start_process("miner", [sys.executable, "-m", *words])


def write_environment(stack: Stack) -> None:
    """Keep the settings for other terminals: `. var/up/environment.sh`, then manage.py or `make fund`."""
    made = {name: value for name, value in stack.environment().items() if name not in stack.outside}
    path = stack.state_dir / "environment.sh"
    path.touch(mode=0o600)
    path.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in sorted(made.items())))


def describe(stack: Stack, logins: str) -> str:
    """Return what a person needs to begin: addresses and logins; the node's password is not among them."""
    node = urlsplit(stack.environment()["GOVPAY_NODE_URL"])
    where = f" (login in {stack.node.data_dir / 'bitcoin.conf'})" if stack.node is not None else ""
    rows = [
        "",
        f"  Web        {stack.web_url}/",
        f"  Admin      {stack.web_url}/admin/",
        f"  API docs   {stack.web_url}/api/docs/",
        f"  Node RPC   http://{node.hostname}:{node.port}{where}",
        "",
        *(f"  {line}" for line in logins.strip().splitlines()),
        "",
        "Ctrl-C stops everything.",
    ]
    return "\n".join(rows)


def say(text: str) -> None:
    """Print at once, also into a pipe."""
    print(text, flush=True)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Run till interrupted; a second interruption does not disturb the stopping."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", type=Path, default=STATE_DIR, help="the directory that keeps everything")
    state_dir = parser.parse_args().state
    # Both named: a shell starts background jobs with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        with Stack(state_dir, settings=settings_of(os.environ)) as stack:
            try:
                return run(stack)
            except KeyboardInterrupt:
                return 0
            finally:
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                say("Stopping.")
    except LocalStackError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
