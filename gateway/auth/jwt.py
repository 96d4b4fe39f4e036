"""JWTs: verification, and the caller that their claims describe."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from typing import Any

import jwt
from jwt.exceptions import (
    ExpiredSignatureError,
    ImmatureSignatureError,
    InvalidAudienceError,
    InvalidIssuerError,
    MissingRequiredClaimError,
    PyJWTError,
)

from gateway.auth.jwks import Keys, KeySet, Secret
from gateway.settings import Settings

MAX_NAME = 200
RESERVED = ("token:", "anonymous")
"""Prefixes of names that no JWT may claim: those of service tokens, and of the anonymous caller."""
LATEST = 253_402_300_799
"""The end of the year 9999 in Unix seconds: a later date is invalid or in another unit."""
MAX_DEPTH = 64
"""The deepest nesting of objects and lists in claims."""
_DATES = ("exp", "nbf", "iat")
_LOOK_ALIKES = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0455\u043a\u0442\u043c\u043f"  # Cyrillic
    "\u03b1\u03b5\u03bf\u03ba\u03c4\u03b7\u03c5\u03bc\u0578\u0585\u057d"  # Greek, Armenian
    "\u2236\ua789\u02d0\u02f8\u05c3\u0589\u2982",
    "aeopcyxisktmn" + "aeoktnumnou" + ":" * 7,
)
"""Cyrillic, Greek and Armenian letters that look like Latin ones, and characters that look like a colon."""


class InvalidJwtError(Exception):
    """A JWT is invalid. The message names the claim or part that is wrong, and does not reveal the expected value."""


class Verifier:
    """Verifies JWTs with the keys of the settings. Each algorithm has its own keys, whatever the token's header
    says."""

    def __init__(self, settings: Settings) -> None:
        self._keys: dict[str, Keys] = {}
        sources: list[Keys] = []
        if settings.jwt_secret:
            sources.append(Secret(settings.jwt_secret.get_secret_value()))
        if settings.jwt_jwks:
            sources.append(KeySet(settings.jwt_jwks))
        for source in sources:
            self._keys |= dict.fromkeys(source.algorithms, source)
        self._issuer = settings.jwt_issuer
        self._audience = settings.jwt_audience
        self._leeway = settings.jwt_leeway
        self._paths = [path.split(".") for path in settings.jwt_roles]

    async def claims(self, token: str) -> Mapping[str, Any]:
        """The claims of a valid token.

        Raises:
            InvalidJwtError: The token is invalid.
            KeysUnavailableError: The key set cannot be read.
        """
        try:
            header = jwt.get_unverified_header(token)
        except (PyJWTError, *_ODD) as error:
            raise InvalidJwtError("The token is not a JWT.") from error
        algorithm, kid = header.get("alg"), header.get("kid")
        keys = self._keys.get(algorithm) if isinstance(algorithm, str) else None
        if keys is None or not isinstance(algorithm, str):
            raise InvalidJwtError(f"The JWT must be signed by {' or '.join(self._keys)}.")
        key = await keys.find(kid if isinstance(kid, str) else None)
        if key is None:
            raise InvalidJwtError("The JWT is signed with an unknown key.")
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self._audience,
                issuer=self._issuer or None,
                leeway=self._leeway,
                options={"require": ["exp"], "enforce_minimum_key_length": True},
            )
        except PyJWTError as error:
            raise InvalidJwtError(_reason(error)) from error
        except _ODD as error:
            raise InvalidJwtError("A claim of the JWT is not valid.") from error
        for name in _DATES:
            _require_date(name, claims.get(name))
        return claims

    def passed_on(self, claims: Mapping[str, Any]) -> str:
        """All claims as JSON that Postgres can parse, for the database's policies.

        Raises:
            InvalidJwtError: Postgres cannot store the value of a claim.
        """
        if not _is_shallow(claims, MAX_DEPTH):
            raise InvalidJwtError(f"The claims of the JWT are nested more than {MAX_DEPTH} levels deep.")
        try:
            text = json.dumps(claims, ensure_ascii=False, allow_nan=False)
            text.encode()
        except ValueError as error:
            raise InvalidJwtError("A claim of the JWT has a number or a character that is not valid.") from error
        if "\\u0000" in text.replace("\\\\", ""):
            raise InvalidJwtError("A claim of the JWT has a character that the database cannot hold (NUL).")
        return text

    def end(self, claims: Mapping[str, Any]) -> float:
        """The time (Unix) at which the token expires, with the leeway."""
        return int(claims["exp"]) + self._leeway

    def name(self, claims: Mapping[str, Any]) -> str:
        """The caller's name: the subject, or the role of a key that has no subject.

        Raises:
            InvalidJwtError: There is neither, or the name is reserved.
        """
        name = claims.get("sub") or claims.get("role")
        if not isinstance(name, str) or not name.strip() or len(name) > MAX_NAME or not name.isprintable():
            raise InvalidJwtError(
                f"The `sub` of the JWT is missing or not valid: it must be a text of at most {MAX_NAME} characters."
            )
        if _skeleton(name).startswith(RESERVED):
            raise InvalidJwtError("The `sub` of the JWT is a reserved name.")
        return name

    def roles(self, claims: Mapping[str, Any]) -> list[str]:
        """The names of roles and scopes in the claims that the settings name: strings, lists of strings, or
        space-separated words."""
        found: list[str] = []
        for path in self._paths:
            value: Any = claims
            for part in path:
                value = value.get(part) if isinstance(value, Mapping) else None
            if isinstance(value, str):
                found += value.split()
            elif isinstance(value, list):
                found += [one for one in value if isinstance(one, str)]
        return found


_ODD = (ValueError, TypeError, OverflowError, RecursionError)
"""Exceptions that PyJWT raises for malformed values, beside its own."""


def _require_date(name: str, date: Any) -> None:
    """Checks that a date claim, if present, is a number of seconds."""
    if date is None and name != "exp":
        return
    if isinstance(date, bool) or not isinstance(date, int | float) or not abs(date) <= LATEST:
        raise InvalidJwtError(f"The claim {name} of the JWT is not a date: it must be a number of seconds since 1970.")


def _is_shallow(value: Any, levels: int) -> bool:
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return levels > 0 and all(_is_shallow(one, levels - 1) for one in inner)
    return True


def _skeleton(name: str) -> str:
    """A name reduced to its appearance, for comparison: invisible characters removed, look-alike letters replaced,
    lower case."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name).casefold())
    seen = "".join(one for one in folded if unicodedata.category(one)[0] not in "MZC" and one not in _FILLERS)
    return seen.translate(_LOOK_ALIKES)


_FILLERS = "\u115f\u1160\u3164\uffa0\u2800"
"""Letters and symbols that are not visible."""


def _reason(error: PyJWTError) -> str:
    match error:
        case ExpiredSignatureError():
            return "The JWT has expired."
        case ImmatureSignatureError():
            return "The JWT is not valid yet (nbf, iat)."
        case InvalidAudienceError():
            return "The JWT is for another audience (aud)."
        case InvalidIssuerError():
            return "The JWT is of another issuer (iss)."
        case MissingRequiredClaimError():
            return f"The JWT lacks the claim {error.claim}."
        case _:
            return "The JWT's signature, or one of its claims, is not valid."
