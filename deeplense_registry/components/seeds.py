"""Seeds for every purpose, derived from the run's one seed by hashing."""

from __future__ import annotations

from hashlib import blake2b


def derive_seed(*parts: int | str) -> int:
    """A seed in [0, 2**63) that depends on every part and on nothing else.

    ``derive_seed(seed, "views", step, micro_batch)`` gives independent streams for neighbouring steps, which
    ``seed + step`` does not, and the same stream on every machine, which ``hash`` does not.
    """
    digest = blake2b(digest_size=8)
    for part in parts:
        kind = b"i" if isinstance(part, int) else b"s"
        text = str(part).encode()
        digest.update(kind + len(text).to_bytes(4, "big") + text)
    return int.from_bytes(digest.digest(), "big") >> 1
