"""Reading the machine's apt sources in both formats, and choosing the mirror."""

from pathlib import Path

import pytest

from deploy.local import debian
from deploy.local.debian import Source
from deploy.local.errors import LocalStackError

ONE_LINE = """\
# deb file:/old/linux bookworm main
deb file:/mirror/linux bookworm main contrib # the near one
deb-src file:/mirror/linux bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/x.gpg] file:/third/apt bookworm stable
deb\tfile:/mirror/security bookworm-security main
"""
DEB822 = """\
Types: deb
# file:/snapshot/debian
URIs: file:/one/debian
  file:/two/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 URIs: file:/not/a-key

Types: deb-src
URIs: file:/source/debian
Suites: bookworm
Components: main

Enabled: no
Types: deb
URIs: file:/off/debian
Suites: bookworm
Components: main
"""


class TestParseOneLine:
    def test_reads_binary_lines_with_and_without_options(self) -> None:
        assert debian.parse_one_line(ONE_LINE) == [
            Source("file:/mirror/linux", ("bookworm",), ("main", "contrib")),
            Source("file:/third/apt", ("bookworm",), ("stable",)),
            Source("file:/mirror/security", ("bookworm-security",), ("main",)),
        ]


class TestParseDeb822:
    def test_reads_enabled_binary_stanzas_one_source_for_each_address(self) -> None:
        suites = ("bookworm", "bookworm-updates")
        assert debian.parse_deb822(DEB822) == [
            Source("file:/one/debian", suites, ("main",)),
            Source("file:/two/debian", suites, ("main",)),
        ]


class TestReadSources:
    def test_skips_files_that_apt_would_not_read(self, tmp_path: Path) -> None:
        parts = tmp_path / "sources.list.d"
        parts.mkdir()
        (tmp_path / "sources.list").write_text("deb file:/a/linux bookworm main\n")
        (parts / "b.sources").write_text("Types: deb\nURIs: file:/b\nSuites: stable\nComponents: main\n")
        (parts / "c.list.disabled").write_text("deb file:/c/linux bookworm main\n")
        uris = [source.uri for source in debian.read_sources(tmp_path)]
        assert uris == ["file:/a/linux", "file:/b"]


class TestChooseMirror:
    def test_takes_the_one_that_serves_the_release_itself(self) -> None:
        sources = [
            Source("file:/third", ("bookworm",), ("stable",)),
            Source("file:/security", ("bookworm-security",), ("main",)),
            Source("file:/mirror", ("bookworm",), ("main",)),
        ]
        assert debian.choose_mirror(sources, "bookworm") == "file:/mirror"

    def test_refuses_a_machine_without_any_in_one_sentence(self) -> None:
        with pytest.raises(LocalStackError, match=r"^No Debian mirror .* run again\.$"):
            debian.choose_mirror([], "bookworm")


class TestUnpack:
    def test_refuses_in_one_sentence_without_apt_and_leaves_nothing_stamped(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(LocalStackError, match=r"^apt-get is missing: .*; install hello yourself\.$"):
            debian.unpack("hello", suite="bookworm", depends=False, cache=tmp_path)
        assert not (tmp_path / "hello-bookworm").exists()

    def test_returns_what_was_unpacked_before_without_calling_apt(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = tmp_path / "hello-bookworm"
        folder.mkdir()
        (folder / ".complete").write_text(debian.LAYOUT)
        monkeypatch.setenv("PATH", str(tmp_path))
        assert debian.unpack("hello", suite="bookworm", depends=False, cache=tmp_path) == folder
