"""Every alarm that the code can open has words for a person, in the admin and in the guide, and they agree."""

import ast
import base64
import importlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.local.stack import ROOT
from payments.models import AlarmDelivery
from payments.payout import alarms, guard, webhook
from payments.payout.causes import CAUSES
from tests.payments.payout.receiver import SECRET

# Where one call sounds several.
IN_LOOPS = {
    "lookout.py": ("UNREACHABLE", "ELSEWHERE", "UNWATCHED"),
    "following.py": ("BELOW_FLOOR", "ABOVE_CAP"),
    "exposure.py": ("SHARE", "VAR", "FULL", "CEILING"),
}
GUIDE = (ROOT / "docs" / "alarms.md").read_text()


def sounded() -> Iterator[tuple[str, str]]:
    """Yield where an alarm is sounded, and its code: each call's first argument, as its own module knows it."""
    for path in sorted((ROOT / "payments").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and ast.unparse(node.func) == "alarms.sound"):
                continue
            where = f"{path.relative_to(ROOT)}:{node.lineno}"
            module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
            source = ast.unparse(node.args[0])
            if source == "code.value" and module is guard:
                for halt_code in guard.HaltCode:
                    yield where, halt_code.value
            elif source == "code":
                for name in IN_LOOPS[path.name]:
                    yield where, getattr(module, name)
            else:
                yield where, eval(source, vars(module))


class TestCauses:
    def test_are_all_that_the_code_can_sound_and_no_more(self) -> None:
        found = {code: where for where, code in sounded()}
        assert {code: where for code, where in found.items() if code not in CAUSES} == {}
        assert set(CAUSES) - set(found) == set()

    def test_are_sentences_that_say_what_it_means_and_what_to_do(self) -> None:
        for code, cause in CAUSES.items():
            assert re.fullmatch(r"[a-z]{2,}(_[a-z]+)+", code)
            assert len(code) <= 40
            for words in cause:
                assert words[0].isupper(), code
                assert words.endswith("."), code

    def test_are_the_table_of_the_guide(self) -> None:
        rows = re.findall(r"^\| `([a-z_]+)` \| (.+) \| (.+) \|$", GUIDE, re.MULTILINE)
        written = {code: (means.replace("`", ""), do.replace("`", "")) for code, means, do in rows}
        assert written == CAUSES


@pytest.mark.django_db
class TestGuide:
    @pytest.fixture
    def program(self, tmp_path: Path) -> Path:
        """The receiver that the guide prints."""
        (source,) = re.findall(r"^```python\n(.+?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
        path = tmp_path / "receiver.py"
        path.write_text(source)
        return path

    def test_has_a_receiver_that_works(self, program: Path, tmp_path: Path, settings: Any) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        settings.GOVPAY_ALARM_WEBHOOK_URL = f"http://127.0.0.1:{port}/"
        settings.GOVPAY_ALARM_WEBHOOK_SECRET = SECRET
        words = [sys.executable, str(program), "127.0.0.1", str(port), str(tmp_path / "seen.db")]
        with subprocess.Popen(
            words,
            env={"RECEIVER_SECRET": SECRET, "PATH": os.environ["PATH"]},
            stdout=subprocess.PIPE,
            text=True,
        ) as receiver:
            try:
                wait_for(port)
                alarms.sound("payout_stuck", subject="payout", subject_id=7, message="It waits.")
                row = AlarmDelivery.objects.get()
                assert webhook._send(row) == ""
                assert webhook._send(row) == ""
                settings.GOVPAY_ALARM_WEBHOOK_SECRET = "whsec_" + base64.b64encode(bytes(32)).decode()
                assert webhook._send(row) == "The receiver answered HTTP 401."
            finally:
                receiver.send_signal(signal.SIGTERM)
            assert receiver.stdout is not None
            assert receiver.stdout.read() == row.body + "\n"


def wait_for(port: int) -> None:
    """Wait until something listens."""
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
