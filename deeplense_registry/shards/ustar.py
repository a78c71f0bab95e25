"""Members of a plain USTAR archive, the same bytes on every machine and Python version."""

from __future__ import annotations

BLOCK = 512
END = bytes(2 * BLOCK)
"""What closes an archive."""

_CHECKSUM = slice(148, 156)


def header(name: str, size: int) -> bytes:
    """The 512 bytes before a member of ``size`` bytes: mode 0644, no owner, no time.

    Fields and their widths are those of POSIX.1-1988 (ustar); ``name`` is ASCII, at most 100 characters.
    """
    block = bytearray(
        b"".join(
            (
                name.encode("ascii").ljust(100, b"\0"),
                b"0000644\0",  # mode
                b"0000000\0" * 2,  # uid, gid
                b"%011o\0" % size,
                b"%011o\0" % 0,  # mtime
                b" " * 8,  # the checksum counts its own field as spaces
                b"0".ljust(101, b"\0"),  # a regular file, linked to nothing
                b"ustar\x0000",
                bytes(64),  # names of user and group
                b"0000000\0" * 2,  # device
                bytes(167),  # prefix and padding
            )
        )
    )
    block[_CHECKSUM] = _checksum(block)
    return bytes(block)


def member(name: str, data: bytes) -> bytes:
    """Header, ``data`` and the padding to the next block."""
    return header(name, len(data)) + data + bytes(-len(data) % BLOCK)


def damaged_header(archive: memoryview) -> int | None:
    """Where the first header lies whose checksum or size cannot be true; ``None`` where all are sound."""
    at = 0
    while at + BLOCK <= len(archive):
        block = bytes(archive[at : at + BLOCK])
        if not any(block):  # the end
            return None
        if block[_CHECKSUM] != _checksum(block):
            return at
        at += BLOCK + -(-int(block[124:135], 8) // BLOCK) * BLOCK
    return at


def _checksum(block: bytes | bytearray) -> bytes:
    return b"%06o\0 " % (sum(block) - sum(block[_CHECKSUM]) + 8 * ord(" "))
