"""Generated ids of rows: random, or derived from the idempotency key."""

from __future__ import annotations

import hashlib
import os


def random_ids(places: range) -> list[str]:
    """UUIDs of version 4, one per index."""
    return _ids(os.urandom(16 * len(places)), 4)


def derived_ids(seed: str, places: range) -> list[str]:
    """UUIDs of version 8 of the rows with these indexes; each depends on the seed and its index alone."""
    begun = hashlib.sha256(seed.encode())
    made = []
    for place in places:
        one = begun.copy()
        one.update(b"/%d" % place)
        made.append(one.digest()[:16])
    return _ids(b"".join(made), 8)


_VERSIONS = {version: bytes(byte & 0x0F | version << 4 for byte in range(256)) for version in (4, 8)}
_HYPHENS = b"00000000-0000-0000-0000-000000000000"
_DIGITS = [at for at, byte in enumerate(_HYPHENS) if byte == b"0"[0]]
_VARIANT = bytes(byte & 0x3F | 0x80 for byte in range(256))


def _ids(made: bytes, version: int) -> list[str]:
    """The texts of UUIDs, from 16 bytes each, with the version and variant set."""
    every = bytearray(made)
    every[6::16] = every[6::16].translate(_VERSIONS[version])
    every[8::16] = every[8::16].translate(_VARIANT)
    digits, text = every.hex().encode(), bytearray(_HYPHENS * (len(made) // 16))
    for place, at in enumerate(_DIGITS):  # one digit of all ids at once
        text[at::36] = digits[place::32]
    found = text.decode()
    return [found[at : at + 36] for at in range(0, len(found), 36)]
