"""JWTs: which are believed, and what their claims say of a caller."""

from __future__ import annotations

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

from gateway.jwt_keys import Keys, KeySet, Secret
from gateway.settings import Settings

MAX_NAME = 200
RESERVED = ("token:", "anonymous")
"""How names begin that no JWT can claim: those of service tokens, and of nobody."""


class InvalidJwtError(Exception):
    """A JWT is not believed; the message says what of it was wrong, and nothing of what would have been right."""


class Verifier:
    """Verifies JWTs by the settings' keys. An algorithm has keys of its own, whatever the token's header says."""

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
        """The claims of a token that is believed.

        Raises:
            InvalidJwtError: It is not.
            KeysUnavailableError: Nobody can say.
        """
        try:
            header = jwt.get_unverified_header(token)
        except PyJWTError as error:
            raise InvalidJwtError("The token is no JWT.") from error
        algorithm, kid = header.get("alg"), header.get("kid")
        keys = self._keys.get(algorithm) if isinstance(algorithm, str) else None
        if keys is None or not isinstance(algorithm, str):
            raise InvalidJwtError(f"The JWT must be signed by {' or '.join(self._keys)}.")
        key = await keys.find(kid if isinstance(kid, str) else None)
        if key is None:
            raise InvalidJwtError("The JWT is signed with a key that is not known.")
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
        return claims

    def end(self, claims: Mapping[str, Any]) -> float:
        """The time (Unix) at which the token ends, the leeway included."""
        return int(claims["exp"]) + self._leeway

    def name(self, claims: Mapping[str, Any]) -> str:
        """Whom the token stands for: the subject, or the role of a key that stands for nobody.

        Raises:
            InvalidJwtError: It does not say, or says what no JWT may.
        """
        name = claims.get("sub") or claims.get("role")
        if not isinstance(name, str) or not name.strip() or len(name) > MAX_NAME or not name.isprintable():
            raise InvalidJwtError(f"The JWT names nobody in `sub`: a text of at most {MAX_NAME} characters.")
        if name.lower().startswith(RESERVED):
            raise InvalidJwtError("The JWT's `sub` is a name that stands for others.")
        return name

    def roles(self, claims: Mapping[str, Any]) -> list[str]:
        """The names of roles and scopes in the claims of the settings: texts, lists of texts, or words in a text."""
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
