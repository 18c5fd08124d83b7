"""Fail points: they stop exactly the process and the moment that the setting names, and exist on regtest only."""

import os
import signal
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from payments.payout import failpoint


def end_of(hits: list[str], setting: str, settings: object) -> tuple[int, int]:
    """Hit the points in a process of its own; return the signal that ended it and how many hits it survived."""
    settings.GOVPAY_FAILPOINT = setting  # type: ignore[attr-defined]
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        for point in hits:
            failpoint.hit(point)
            os.write(writer, b".")
        os._exit(0)
    os.close(writer)
    _, status = os.waitpid(child, 0)
    survived = len(os.read(reader, 1_000))
    os.close(reader)
    return os.WTERMSIG(status), survived


class TestHit:
    def test_kills_at_the_point_and_nowhere_else(self, settings: object, tmp_path: Path) -> None:
        marker = tmp_path / "killed"
        assert end_of(["K8", "K9", "K9"], f"K9:kill:{marker}", settings) == (signal.SIGKILL, 1)
        assert marker.read_text().isdigit()
        # The file is there now: nobody else dies.
        assert end_of(["K8", "K9", "K9"], f"K9:kill:{marker}", settings) == (0, 3)

    def test_without_a_file_kills_every_process(self, settings: object) -> None:
        for _ in range(2):
            assert end_of(["K9"], "K9:kill:", settings) == (signal.SIGKILL, 0)

    def test_counts_the_hits(self, settings: object) -> None:
        assert end_of(["K9", "K8", "K9", "K9"], "K9@3:kill:", settings) == (signal.SIGKILL, 3)
        assert end_of(["K9", "K8", "K10"], "*@2:kill:", settings) == (signal.SIGKILL, 1)

    def test_may_draw_lots(self, settings: object) -> None:
        died, survived = end_of(["K1"] * 900, "*%50:kill:", settings)
        assert (died, survived < 900) == (signal.SIGKILL, True)

    def test_does_nothing_without_the_setting(self, settings: object) -> None:
        assert end_of(["K9", "K10"], "", settings) == (0, 2)

    def test_is_refused_outside_regtest(self, settings: object, tmp_path: Path) -> None:
        settings.GOVPAY_NETWORK = "signet"  # type: ignore[attr-defined]
        settings.GOVPAY_FAILPOINT = f"K9:kill:{tmp_path / 'killed'}"  # type: ignore[attr-defined]
        with pytest.raises(ImproperlyConfigured, match="regtest only"):
            failpoint.hit("K9")
        assert not (tmp_path / "killed").exists()


class TestSetting:
    @pytest.mark.parametrize(
        "setting", ["K9", "K9:kill", "K9:stop:x", "Q9:kill:x", "K9@0:kill:x", "K9%100:kill:x"]
    )
    def test_must_be_well_formed(self, setting: str, settings: object) -> None:
        settings.GOVPAY_FAILPOINT = setting  # type: ignore[attr-defined]
        with pytest.raises(ImproperlyConfigured, match="GOVPAY_FAILPOINT must be"):
            failpoint.check_setting()
