"""Generated ids of rows: random, or derived from the idempotency key."""

from __future__ import annotations

import hashlib
import os


def random_ids(places: range) -> list[str]:
    """Ids of version 4, one for each place."""
    return _ids(os.urandom(16 * len(places)), 4)


def derived_ids(seed: str, places: range) -> list[str]:
    """Ids of version 8 for rows by their places: the same for the same seed, however many there are."""
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
    """UUIDs of 16 bytes each."""
    every = bytearray(made)
    every[6::16] = every[6::16].translate(_VERSIONS[version])
    every[8::16] = every[8::16].translate(_VARIANT)
    digits, text = every.hex().encode(), bytearray(_HYPHENS * (len(made) // 16))
    for place, at in enumerate(_DIGITS):  # all of them at once, digit by digit
        text[at::36] = digits[place::32]
    found = text.decode()
    return [found[at : at + 36] for at in range(0, len(found), 36)]
