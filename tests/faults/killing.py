"""Runs a doorbell in a child process that dies, or sleeps, at a kill point: real SIGKILL, real PostgreSQL."""

import os
import signal
import traceback
from collections.abc import Callable

from celery import current_app
from django.conf import settings
from django.db import connections

from payments.payout import failpoint

Work = Callable[[], object]


class Child:
    """A worker process that does one piece of work, and stands still when it passes a kill point."""

    def __init__(self, work: Work, point: str, *, through_port: int = 0) -> None:
        # A session must not be shared: each process opens its own.
        connections.close_all()
        self.pid = os.fork()
        if self.pid == 0:
            self._work(work, point, through_port)

    def _work(self, work: Work, point: str, through_port: int) -> None:
        code = 1
        try:
            current_app._after_fork()
            if through_port:
                connections["default"].settings_dict |= {"HOST": "127.0.0.1", "PORT": str(through_port)}
            os.environ["GOVPAY_STOPPED_AT"] = point
            failpoint.hit = stop_at  # type: ignore[assignment]
            work()
            code = 0
        except Exception:  # noqa: BLE001
            # Whatever a fault throws at a worker: it is told, and the process ends as a task would.
            traceback.print_exc()
        finally:
            os._exit(code)

    def wait_for_stop(self) -> bool:
        """Wait until it stands at its point; tell whether it came there."""
        _, status = os.waitpid(self.pid, os.WUNTRACED)
        return os.WIFSTOPPED(status)

    def kill(self) -> None:
        """End it where it stands."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def wake(self) -> int:
        """Let it go on to its end; return its exit code."""
        os.kill(self.pid, signal.SIGCONT)
        return self.wait()

    def wait(self) -> int:
        """Return its exit code once it is there."""
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)


def stop_at(point: str) -> None:
    """Stop this process the first time that it passes its point."""
    if os.environ.get("GOVPAY_STOPPED_AT") == point:
        os.environ["GOVPAY_STOPPED_AT"] = ""
        os.kill(os.getpid(), signal.SIGSTOP)


def kill_at(point: str, work: Work) -> None:
    """Do the work in a process that is killed at the point; fail when it never comes there."""
    child = Child(work, point)
    assert child.wait_for_stop(), f"the work did not pass {point}"
    child.kill()


def database_url() -> str:
    """Return the address of the tests' own database, as the role that the tests use."""
    parts = settings.DATABASES["default"]
    return f"postgres://{parts['USER']}:{parts['PASSWORD']}@{parts['HOST']}:{parts['PORT']}/{parts['NAME']}"
