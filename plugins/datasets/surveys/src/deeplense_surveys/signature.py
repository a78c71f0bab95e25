"""What a file is, by its first bytes."""

from __future__ import annotations

from pathlib import Path

from deeplense_registry import UserError


def refuse_page(path: Path, kind: str) -> None:
    """Tell apart what a server sent in place of a file: neither tables nor images start with "<".

    Raises:
        UserError: It is a web page, or cannot be read.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(512).lstrip()
    except OSError as error:
        raise UserError(
            f"{path}: cannot read it: {error.strerror}; mend the path, or the file's permissions"
        ) from error
    if start.startswith(b"<"):
        line = start.splitlines()[0][:40].decode(errors="replace")
        raise UserError(
            f"{path} is a web page (it starts with {line!r}), not {kind}: a server sent it in place of the file; "
            "download the file again"
        )


def unreadable(path: Path, kind: str, error: Exception) -> UserError:
    """The error of a file that a library refuses.

    Raises:
        UserError: The file is a web page, or cannot be read: that error comes in place of the library's.
    """
    refuse_page(path, kind)
    return UserError(f"{path} is no {kind} file, or damaged: {error}; download it again")
