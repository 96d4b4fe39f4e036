"""Global ids: ``Type:key``, parts of a composite key joined by ``:``; ``%`` and ``:`` in parts are escaped."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date
from uuid import UUID

_INTEGER = re.compile(r"-?[0-9]{1,10}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HEXADECIMAL = re.compile(r"[0-9A-Fa-f]{32}")
_NO_DIGITS = re.compile(r"urn:|uuid:|[{}-]")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class MalformedIdError(ValueError):
    """The text is not an id of the type; the message gives the valid form."""


def escape(part: str) -> str:
    return part.replace("%", "%25").replace(":", "%3A")


def unescape(part: str) -> str:
    return part.replace("%3A", ":").replace("%3a", ":").replace("%25", "%")


def encode(type_name: str, key: Sequence[str]) -> str:
    """The global id of a row from the texts of its key's parts."""
    return f"{type_name}:{':'.join(escape(part) for part in key)}"


def sql(type_name: str, parts: Sequence[tuple[str, str]], *, nullable: bool = False) -> str:
    """The same as a SQL expression; ``parts`` are ``(kind name, column expression)``.

    ``nullable`` parts (views guarantee no key) are empty if null, so that one row does not fail the list.
    """

    def part(kind: str, column: str) -> str:
        text = f"coalesce({column}::text, '')" if nullable else f"{column}::text"
        return text if kind in {"uuid", "integer"} else f"replace(replace({text}, '%', '%25'), ':', '%3A')"

    return f"'{type_name}:' || " + " || ':' || ".join(part(*one) for one in parts)


def decode(value: str, type_name: str, kinds: Sequence[str]) -> tuple[str, ...]:
    """The parts of the key in a global id of the type, or in a bare key (a bare single key is taken literally).

    Raises:
        MalformedIdError: The number of parts is wrong, or a part has the wrong type.
    """
    prefix = f"{type_name}:"
    if not value.startswith(prefix) and len(kinds) == 1:
        parts = [value]
    else:
        parts = [unescape(part) for part in value.removeprefix(prefix).split(":")]
    if len(parts) != len(kinds):
        has = f"{shown(value)} has {len(parts)} parts where the key has {len(kinds)}"
        raise MalformedIdError(f"{has}; {_expected(type_name, kinds)}")
    for place, kind in enumerate(kinds):
        if not fits(parts[place], kind):
            what = _WORDS.get(kind, "a text without NUL")
            raise MalformedIdError(f"{shown(value)} is not {what}; {_expected(type_name, kinds)}")
        if kind == "uuid":
            parts[place] = read_uuid(parts[place])
    return tuple(parts)


def read_uuid(text: str) -> str:
    """A UUID in the database's form.

    Python's `UUID` takes what `int` takes: a sign, a prefix, spaces, underscores, digits of other scripts.

    Raises:
        ValueError: It is no UUID.
    """
    read = str(UUID(text))
    if read != text and not _HEXADECIMAL.fullmatch(_NO_DIGITS.sub("", text)):
        raise ValueError("not 32 hexadecimal digits")
    return read


def is_uuid(text: str) -> bool:
    """Whether a text is a UUID in the database's form."""
    return _UUID.fullmatch(text) is not None


def _expected(type_name: str, kinds: Sequence[str]) -> str:
    return f"an id of {type_name} looks like {type_name}:{':'.join(_EXAMPLES.get(kind, '<text>') for kind in kinds)}"


_EXAMPLES = {"uuid": "<UUID>", "integer": "<integer>", "date": "<YYYY-MM-DD>"}
_WORDS = {"uuid": "a UUID", "integer": "a 32-bit integer", "date": "a date"}


def shown(value: str) -> str:
    """A client's text for a message, cut to 80 characters."""
    return repr(value if len(value) <= 80 else value[:77] + "...")


def fits(part: str, kind: str) -> bool:
    """Whether a text can be a part of a key of this kind."""
    match kind:
        case "uuid":
            return _reads(read_uuid, part)
        case "date":
            return bool(_DATE.fullmatch(part)) and _reads(date.fromisoformat, part)
        case "integer":
            return bool(_INTEGER.fullmatch(part)) and -(2**31) <= int(part) < 2**31
        case _:
            return "\x00" not in part


def _reads(reader: Callable[[str], object], part: str) -> bool:
    try:
        reader(part)
    except ValueError:
        return False
    return True


def type_of(value: str) -> str | None:
    """The type in a global id, or None if there is none."""
    head, separator, _ = value.partition(":")
    return head if separator else None
