"""Where a pack is written: a folder or a zip file, a piece at a time, each file hashed on its way."""

import hashlib
import shutil
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

# Every file of a zip has the same date, so that the same files make the same bytes.
DATE = (1980, 1, 1, 0, 0, 0)


class Sink(Protocol):
    """Takes files one after another; the SHA-256 of each is kept."""

    digests: dict[str, str]

    def add(self, name: str, parts: Iterable[bytes]) -> None:
        """Write a file; ``name`` is its path in the pack."""
        ...


class Folder:
    """Writes into a folder, which must be new or empty."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise FileExistsError(17, "the folder is not empty", str(path))
        self.path = path
        self.digests: dict[str, str] = {}

    def add(self, name: str, parts: Iterable[bytes]) -> None:
        """Write a file and the folders above it."""
        where = self.path / name
        where.parent.mkdir(parents=True, exist_ok=True)
        with where.open("xb") as file:
            self.digests[name] = _copy(parts, file)


class Zip:
    """Writes into a zip file that somebody opened."""

    def __init__(self, file: IO[bytes]) -> None:
        self.zip = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED)
        self.digests: dict[str, str] = {}

    def add(self, name: str, parts: Iterable[bytes]) -> None:
        """Write a file, compressed."""
        info = zipfile.ZipInfo(name, DATE)
        info.compress_type = zipfile.ZIP_DEFLATED
        with self.zip.open(info, "w", force_zip64=True) as file:
            self.digests[name] = _copy(parts, file)

    def close(self) -> None:
        """Write the zip's directory, without which it is none."""
        self.zip.close()


@contextmanager
def at(path: Path) -> Iterator[Sink]:
    """Open a new folder, or a new file whose name ends in .zip; raise OSError. What fails halfway leaves nothing."""
    if path.suffix == ".zip":
        with path.open("xb") as file:
            to = Zip(file)
            try:
                yield to
            except BaseException:
                path.unlink()
                raise
            finally:
                to.close()
    else:
        folder = Folder(path)
        try:
            yield folder
        except BaseException:
            shutil.rmtree(path)
            raise


def _copy(parts: Iterable[bytes], file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
        file.write(part)
    return digest.hexdigest()
