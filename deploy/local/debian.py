"""Fetches Debian packages without root, from the machine's own mirror, with apt checking every signature."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import LocalStackError

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
LAYOUT = "1"

# The machine's hooks (cleaning caches, refreshing software centers) must not run for a private state; its
# proxies and certificates, which stand in the same files, must.
CONFIG = """\
Dir::Etc::sourcelist "{home}/sources.list";
Dir::Etc::sourceparts "{home}/nothing";
Dir::Etc::preferences "{home}/nothing/preferences";
Dir::Etc::preferencesparts "{home}/nothing";
Dir::State "{home}";
Dir::State::lists "{home}/lists";
Dir::State::status "{home}/status";
Dir::Cache "{home}";
Dir::Cache::archives "{home}/archives";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
APT::Sandbox::User "root";
APT::Install-Recommends "0";
APT::Get::Assume-Yes "1";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::IndexTargets::deb::DEP-11 {{ DefaultEnabled "false"; }};
Acquire::IndexTargets::deb::Contents-deb {{ DefaultEnabled "false"; }};
Debug::NoLocking "1";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Install-Pkgs;
#clear DPkg::Pre-Invoke;
#clear DPkg::Post-Invoke;
"""


@dataclass(frozen=True)
class Source:
    """One place that the machine's apt takes binary packages from."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]


def parse_one_line(text: str) -> list[Source]:
    """Return the binary sources of a ``sources.list``: ``deb [options] uri suite component...``."""
    found = []
    for raw in text.splitlines():
        line = raw.split("#", 1)[0].strip()
        if not line.startswith(("deb ", "deb\t")):
            continue
        rest = line[3:].strip()
        if rest.startswith("["):
            rest = rest.partition("]")[2].strip()
        words = rest.split()
        if len(words) >= 2:
            found.append(Source(words[0], (words[1],), tuple(words[2:])))
    return found


def parse_deb822(text: str) -> list[Source]:
    """Return the enabled binary sources of a ``.sources`` file, one for each URI of each stanza."""
    found = []
    for fields in _stanzas(text):
        enabled = fields.get("enabled", "yes").lower() not in (
            "no",
            "false",
            "0",
            "off",
            "without",
            "disable",
        )
        if not enabled or "deb" not in fields.get("types", "").split():
            continue
        suites, components = fields.get("suites", "").split(), fields.get("components", "").split()
        found += [Source(uri, tuple(suites), tuple(components)) for uri in fields.get("uris", "").split()]
    return found


def _stanzas(text: str) -> Iterator[dict[str, str]]:
    fields: dict[str, str] = {}
    name = ""
    for raw in [*text.splitlines(), ""]:
        if raw.startswith("#"):
            continue
        if not raw.strip():
            if fields:
                yield fields
            fields, name = {}, ""
        elif raw[0] in " \t":
            if name:
                fields[name] += "\n" + raw.strip()
        else:
            key, _, value = raw.partition(":")
            name = key.strip().lower()
            fields[name] = value.strip()


def read_sources(etc_apt: Path = Path("/etc/apt")) -> list[Source]:
    """Return the machine's binary sources, in the order apt reads them."""
    files = [etc_apt / "sources.list", *sorted((etc_apt / "sources.list.d").glob("*"))]
    found: list[Source] = []
    for path in files:
        if path.suffix == ".list" and path.is_file():
            found += parse_one_line(path.read_text(encoding="utf-8", errors="replace"))
        elif path.suffix == ".sources" and path.is_file():
            found += parse_deb822(path.read_text(encoding="utf-8", errors="replace"))
    return found


def choose_mirror(sources: list[Source], codename: str) -> str:
    """Return the address that serves the release itself; raise LocalStackError when there is none."""
    for source in sources:
        if "main" in source.components and {codename, "stable"} & set(source.suites):
            return source.uri
    raise LocalStackError(
        "No Debian mirror is configured on this machine: put one into /etc/apt/sources.list and run again."
    )


def read_codename(os_release: Path = Path("/etc/os-release")) -> str:
    """Return the release's code name, as bookworm."""
    for line in os_release.read_text().splitlines():
        if line.startswith("VERSION_CODENAME="):
            return line.partition("=")[2].strip().strip('"')
    return "stable"


def unpack(name: str, *, suite: str, depends: bool, cache: Path) -> Path:
    """Return a folder holding the package's files (and, if asked, those of all it depends on).

    Fetched once and kept under ``cache``; an unfinished folder is made again.
    Raises LocalStackError in one sentence when apt is missing or cannot fetch.
    """
    target = cache / f"{name}-{suite}"
    stamp = target / ".complete"
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / f"{name}.lock"):
        if stamp.is_file() and stamp.read_text() == LAYOUT:
            return target
        for tool in ("apt-get", "dpkg-deb"):
            if shutil.which(tool) is None:
                raise LocalStackError(
                    f"{tool} is missing: this machine is not Debian; install {name} yourself."
                )
        _fetch(name, suite=suite, depends=depends, home=cache / f"{name}.apt", target=target)
        stamp.write_text(LAYOUT)
    return target


def beside_libraries(root: Path, program: str) -> list[str]:
    """Return the words that run a program of an unpacked folder with the loader and libraries beside it.

    Raises LocalStackError when they are not there.
    """
    # The machine's own C library may be older than the one the program was linked with.
    loaders = sorted(path for path in root.glob("usr/lib*/**/ld-linux*.so.*") if path.is_file())
    loaders += sorted(path for path in root.glob("lib*/**/ld-linux*.so.*") if path.is_file())
    if not loaders or not (root / program).is_file():
        raise LocalStackError(f"What was unpacked is not complete: delete {root} and run again.")
    folders = sorted({str(path.parent) for path in root.glob("**/libc.so.6")})
    folders += sorted({str(path) for path in root.glob("usr/lib/*-linux-gnu*")})
    return [str(loaders[0]), "--library-path", ":".join(dict.fromkeys(folders)), str(root / program)]


def _fetch(name: str, *, suite: str, depends: bool, home: Path, target: Path) -> None:
    mirror = choose_mirror(read_sources(), read_codename())
    for folder in (home, target):
        shutil.rmtree(folder, ignore_errors=True)
    for part in ("lists/partial", "archives/partial", "nothing"):
        (home / part).mkdir(parents=True)
    # An empty status file makes apt's resolver bring every library, even those this machine has.
    (home / "status").touch()
    signed = f"[signed-by={KEYRING}] " if KEYRING.is_file() else ""
    (home / "sources.list").write_text(f"deb {signed}{mirror} {suite} main\n")
    config = home / "apt.conf"
    config.write_text(CONFIG.format(home=home))
    _apt(["-c", str(config), "update"], home, name)
    if depends:
        _apt(["-c", str(config), "install", "--download-only", name], home, name)
    else:
        _apt(["-c", str(config), "download", name], home / "archives", name)
    for package in sorted((home / "archives").glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", package, target], check=True, stdin=subprocess.DEVNULL)
    shutil.rmtree(home)


def _apt(arguments: list[str], directory: Path, name: str) -> None:
    done = subprocess.run(
        ["apt-get", "-q", *arguments],
        check=False,
        cwd=directory,
        env={**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    # `update` answers 0 with a warning when a list could not be fetched; the next step then fails.
    if done.returncode != 0:
        lines = [line for line in done.stdout.splitlines() if line.startswith(("E:", "Err:", "W:"))]
        reason = lines[-1] if lines else f"apt-get answered {done.returncode}"
        raise LocalStackError(f"{name} could not be fetched from this machine's Debian mirror ({reason}).")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
