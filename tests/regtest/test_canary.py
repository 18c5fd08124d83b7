"""Marked personal data goes through a whole story, and is then looked for wherever it must not be (A32, A33)."""

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
import requests

from deploy.local.postgres import find_binaries
from deploy.local.regtest import Miner
from deploy.local.stack import Stack
from payments.onchain import address, network
from tests import factories, schema, services
from tests.regtest.test_workers import wait_for

pytestmark = pytest.mark.real

NAME, NATIONAL_ID, PHONE = "Zephyrine Quillfeather", "35202-7654321-9", "+923335550199"
# In each way that they might be written down.
CANARIES = ["Zephyrine", "Quillfeather", NATIONAL_ID, "3520276543219", PHONE, PHONE[1:], "3335550199"]
HEADER = "reference,national_id,full_name,phone,address"
REPORTS = {"trial-balance": "csv", "general-ledger": "csv", "journal": "jsonl"}


def found_in(content: bytes | str) -> list[str]:
    """Return the canaries in some text, also as JSON, HTML and hexadecimal digits would write them."""
    text = content if isinstance(content, bytes) else content.encode()
    forms = {canary: (canary.encode(), canary.encode().hex().encode()) for canary in CANARIES}
    return [canary for canary, written in forms.items() if any(form in text for form in written)]


class Overheard(threading.Thread):
    """Every command that Redis is given, as it says itself."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.client = redis.Redis.from_url(url, socket_timeout=None)
        self.commands: list[str] = []

    def run(self) -> None:
        with suppress(redis.ConnectionError), self.client.monitor() as monitor:
            # Until the server ends.
            for command in monitor.listen():
                self.commands.append(str(command["command"]))


@pytest.fixture
def stack() -> Iterator[Stack]:
    """Everything of its own, web process and workers included."""
    outside = services.outside_environment() | {"GOVPAY_SWEEP_S": "1", "GOVPAY_FOLLOW_S": "1"}
    for name in ("DATABASE_URL", "REDIS_URL", "GOVPAY_NODE_URL"):
        outside.pop(name, None)
    state = services.ensure_state_dir() / f"canary-{os.getpid()}"
    with Stack(state, fresh=True, durable=False, outside=outside) as running:
        running.start_services()
        schema.fill(running)
        running.manage("shell", "-c", "from tests.regtest import stage; stage.open_program()", owner=True)
        yield running


class Caller:
    """One person's calls over the API; what is refused must not be repeated, whatever was sent."""

    def __init__(self, stack: Stack, role: str) -> None:
        script = f"from tests.regtest import stage; print('token', stage.token({role!r}))"
        said = stack.manage("shell", "-c", script, owner=True)
        (line,) = [line for line in said.splitlines() if line.startswith("token ")]
        self.url = f"{stack.web_url}/api/v1"
        self.headers = {"Authorization": f"Bearer {line.split()[1]}"}

    def post(self, path: str, expected: int, **words: Any) -> Any:
        """Send; return what the answer says."""
        answer = requests.post(self.url + path, headers=self.headers, timeout=60, **words)
        assert answer.status_code == expected, answer.text
        if expected >= 400:
            assert found_in(answer.content) == [], answer.text
        return answer.json()


def test_personal_data_is_nowhere_but_encrypted(stack: Stack, tmp_path: Path) -> None:
    assert stack.redis is not None
    assert stack.postgres is not None
    overheard = Overheard(stack.redis.url)
    overheard.start()
    stack.start_web()
    for name in ("work", "rounds"):
        stack.start_worker(name, queues=(name,))
    stack.start_beat()
    made = tell_story(stack)
    settle(stack, made)

    files = [tmp_path / f"{name}.{form}" for name, form in REPORTS.items()]
    for (name, form), path in zip(REPORTS.items(), files, strict=True):
        stack.manage("report", name, f"--format={form}", f"--output={path}")
    stack.manage("audit_pack", str(tmp_path / "pack"), "--all")
    logs = list((stack.state_dir / "log").iterdir())
    packed = [path for path in (tmp_path / "pack").rglob("*") if path.is_file()]
    assert {"web.log", "work.log", "rounds.log", "postgres.log"} <= {path.name for path in logs}
    assert packed
    where = {path.name: found_in(path.read_bytes()) for path in [*files, *packed, *logs]}
    where |= {"redis": found_in("\n".join(overheard.commands)), "database": found_in(dump(stack))}
    where["chain"] = found_in(chain(stack))
    assert {place: found for place, found in where.items() if found} == {}
    # The looking itself works: whoever may see the person sees them.
    enrolled = requests.get(
        f"{stack.web_url}/api/v1/programs/1/enrollments/",
        headers=Caller(stack, "officer").headers,
        timeout=60,
    )
    assert "Quillfeather" in found_in(enrolled.content)
    assert any("payments.tasks.seal" in command for command in overheard.commands)


def tell_story(stack: Stack) -> int:
    """Enroll the person, with attempts that are refused, and release a list that pays them; return its number."""
    officer, approver, releaser = (Caller(stack, role) for role in ("officer", "approver", "releaser"))
    good = address.address_from_script(factories.make_script(), network.Network.REGTEST)
    row = f"CANARY-1,{NATIONAL_ID},{NAME},{PHONE},"
    people = "/programs/1/intakes/people/"
    for text in (f"{row}nonsense", f"{row}{good}\n{row}{good}", f"{row}{good},{NAME}"):
        officer.post(people, 422, files={"file": ("people.csv", f"{HEADER}\n{text}\n")})
    officer.post(people, 415, data=f"{NAME} {NATIONAL_ID}")
    officer.post(
        "/programs/1/disbursements/", 400, json={"purpose": NATIONAL_ID, "period": NAME, "status": PHONE}
    )
    officer.post(people, 201, files={"file": ("people.csv", f"{HEADER}\n{row}{good}\n")})
    listed = {"reference": "CANARY-1", "amount_sat": 50_000}
    body = {
        "period": "2026-11",
        "purpose": "pension",
        "expected_count": 1,
        "expected_total_sat": 50_000,
        "lines": [listed],
    }
    refused = body | {"lines": [{**listed, "reference": NATIONAL_ID}]}
    officer.post("/programs/1/disbursements/", 422, json=refused)
    made = officer.post("/programs/1/disbursements/", 201, json=body)["id"]
    agreed = {"manifest_hash": officer.post(f"/disbursements/{made}/submit/", 200)["manifest_hash"]}
    approver.post(f"/disbursements/{made}/approve/", 200, json=agreed)
    releaser.post(f"/disbursements/{made}/release/", 200, json=agreed)
    return int(made)


def settle(stack: Stack, made: int) -> None:
    """Mine until the list is completed."""
    assert stack.postgres is not None
    miner = Miner(stack.environment()["GOVPAY_NODE_URL"])
    with psycopg.connect(stack.postgres.owner_url, autocommit=True) as database:

        def is_completed() -> bool:
            miner.mine(1)
            query = "SELECT status FROM payments_disbursement WHERE id = %s"
            return database.execute(query, [made]).fetchone() == ("completed",)

        wait_for("settlement", is_completed, 120)


def dump(stack: Stack) -> bytes:
    """Return every row of every table as text."""
    assert stack.postgres is not None
    words = [str(find_binaries() / "pg_dump"), "--data-only", f"--dbname={stack.postgres.owner_url}"]
    return subprocess.run(words, check=True, capture_output=True).stdout


def chain(stack: Stack) -> bytes:
    """Return every block's bytes."""
    node = Miner(stack.environment()["GOVPAY_NODE_URL"]).node
    hashes = [node.call("getblockhash", height) for height in range(node.call("getblockcount") + 1)]
    return b"".join(bytes.fromhex(node.call("getblock", block_hash, 0)) for block_hash in hashes)
