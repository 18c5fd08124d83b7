"""The main job in one command (`make demo`): from a file of people to reconciled payments on a real node."""

import json
import secrets
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from rich.console import Console

from deploy.demo import story, summary
from deploy.local.errors import LocalStackError
from deploy.local.stack import ROOT, Stack

STATE = ROOT / "var" / "demo"
# Short, so that a killed worker is replaced within seconds; a real installation keeps the defaults.
RHYTHM = {"GOVPAY_NODE_TIMEOUT_S": "4", "GOVPAY_LEASE_S": "5", "GOVPAY_SWEEP_S": "1", "GOVPAY_FOLLOW_S": "1"}


def main() -> int:
    """Run the demo afresh; 0 when everybody was paid exactly once and all sources agree, else 1."""
    console = Console()
    signal.signal(signal.SIGTERM, _leave)
    begin = time.monotonic()
    try:
        with Stack(STATE, fresh=True) as stack:
            stack.outside |= RHYTHM
            told = story.tell(stack, console, password=secrets.token_urlsafe(12))
        told["seconds"]["in all"] = round(time.monotonic() - begin, 1)
    except (LocalStackError, story.Broken) as error:
        console.print(f"[bold red]The demo failed:[/] {error}", soft_wrap=True, highlight=False)
        return 1
    except KeyboardInterrupt:
        console.print("Stopped; nothing is left running.")
        return 130
    report = Path(STATE / "report.json")
    report.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    summary.show(console, told)
    return 0 if told["is_success"] else 1


def _leave(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
