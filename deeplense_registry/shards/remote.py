"""Files behind a URL, read through fsspec: in blocks, patiently, and with words for what goes wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from time import sleep
from typing import Any, BinaryIO, TypeVar

from attrs import frozen

from ..components import UserError
from .decode import refuse_command
from .manifest import FILE
from .verify import is_page

BLOCK = 4 * 2**20
"""Bytes asked for at once: the most that a dropped connection can lose."""

PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds before the second and later tries of one block."""

PACKAGES = {"http": "aiohttp", "https": "aiohttp", "s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "hf": "huggingface_hub"}
"""What reads a scheme beside fsspec."""

ABSENT = "is not there: the copy behind the URL is incomplete; upload it again"
RESIZED = "has another size than the manifest says ({size} bytes); upload the shards again, manifest last"
PAGE = "is an HTML page, not a shard: what served it answered with an error; see what the URL shows"

VERSIONS = ("ETag", "etag", "Last-Modified", "LastModified", "updated")
"""Where file systems tell one version of a file from the next."""

Answer = TypeVar("Answer")

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)


def is_remote(location: str) -> bool:
    """Whether ``location`` is a URL of something that is not on this machine."""
    scheme = _SCHEME.match(location)
    return scheme is not None and scheme[1].lower() != "file"


def address(url: str) -> str:
    """The URL of the folder, where ``url`` may name its manifest or end in a slash.

    Raises:
        UserError: It is a command.
    """
    refuse_command(url)
    return url.rstrip("/").removesuffix(f"/{FILE}").rstrip("/")


@frozen(eq=False)
class Remote:
    """A folder behind a URL.

    Attributes:
        url: Its own.
        files: The fsspec file system.
        root: Its path there.
        absent: What is said of a file that is not there, after its URL.
        resized: The same of one that has not the size it should.
    """

    url: str
    files: Any
    root: str
    absent: str
    resized: str

    @classmethod
    def open(cls, url: str, *, absent: str = ABSENT, resized: str = RESIZED) -> Remote:
        """The folder at ``url``, an :func:`address`; nothing is read yet.

        Raises:
            UserError: The package that reads its scheme is not installed.
        """
        from fsspec.core import url_to_fs  # here, since it is only needed where something is fetched

        scheme = url.partition("://")[0].lower()
        plain = {"headers": {"Accept-Encoding": "identity"}} if scheme in ("http", "https") else {}  # bytes as stored
        try:
            files, root = url_to_fs(url, **plain)
        except ImportError as error:
            package = PACKAGES.get(scheme, f"the package that reads {scheme}://")
            raise UserError(f'"{url}" cannot be read: pip install {package} ({error})') from error
        return cls(url, files, root.rstrip("/"), absent, resized)

    def read(self, name: str, start: int | None = None, end: int | None = None) -> bytes:
        """Bytes ``start`` to ``end`` of a file, or all; all too where the server knows no ranges.

        A connection that fails is tried again, with growing pauses.

        Raises:
            UserError: The file is absent or forbidden, or the last try failed.
        """
        return self._asked(name, lambda path: bytes(self.files.cat_file(path, start=start, end=end)))

    def announced(self, name: str) -> tuple[int, str]:
        """The size of a file in bytes, and a text that changes when the file does, as far as the server tells.

        Raises:
            UserError: As :meth:`read`, or the server does not tell the size.
        """
        info = self._asked(name, self.files.info)
        if info["size"] is None:
            raise UserError(
                f"{self.url}/{name}: the server does not say how large it is; download it, and give its path"
            )
        return info["size"], repr([info["size"], *(info.get(key) for key in VERSIONS)])

    def append(self, name: str, stream: BinaryIO, size: int) -> None:
        """Bring what ``stream`` holds of a file, its first bytes, up to ``size`` bytes.

        Raises:
            UserError: As :meth:`read`, or the file has another size.
            OSError: The disk's own error.
        """
        at = stream.seek(0, 2)
        while at < size:
            end = min(at + BLOCK, size)
            data = self.read(name, at, end)
            if len(data) != end - at:
                if len(data) != size:
                    raise UserError(f"{self.url}/{name} {misfit(data, self.resized.format(size=size))}")
                at = stream.seek(0)  # no ranges there: this is the file from its beginning
                stream.truncate()
            stream.write(data)
            stream.flush()
            at += len(data)

    def _asked(self, name: str, ask: Callable[[str], Answer]) -> Answer:
        """The answer to a question about a file, by its path there; patiently."""
        pauses = iter(PAUSES)
        while True:
            try:
                return ask(f"{self.root}/{name}")
            except Exception as error:  # every file system has its own kinds
                reason = _reason(error)
                pause = None if _final(reason) else next(pauses, None)
                if pause is None:
                    raise UserError(self._failure(name, reason)) from error
                sleep(pause)

    def _failure(self, name: str, error: Exception) -> str:
        where = f"{self.url}/{name}"
        if isinstance(error, FileNotFoundError):
            if name == FILE:
                return (
                    f"{where} is not there; give the URL of a folder that `deeplense shards build` wrote, or of tars: "
                    "train-{000..009}.tar"
                )
            return f"{where} {self.absent}"
        return f"{where} cannot be read: {error or type(error).__name__}; run it again to continue where it stopped"


def misfit(data: bytes, otherwise: str) -> str:
    """What is wrong with a file that begins so and is not what it should be: a page, or ``otherwise``."""
    return PAGE if is_page(data) else otherwise


def _reason(error: Exception) -> Exception:
    """Of HTTP's ``info``, which takes every failure for an absent file, the failure itself."""
    cause = error.__cause__
    hidden = isinstance(error, FileNotFoundError) and type(cause).__module__.startswith("aiohttp")
    return cause if hidden and isinstance(cause, Exception) and getattr(cause, "status", None) != 404 else error


def _final(error: Exception) -> bool:
    """Whether trying again cannot help: absent, forbidden, or another answer that blames the question (HTTP 4xx)."""
    status = getattr(error, "status", None)
    refused = isinstance(status, int) and 400 <= status < 500 and status not in (408, 429)  # slow down, and come again
    return refused or isinstance(error, FileNotFoundError | PermissionError)
