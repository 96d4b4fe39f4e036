"""Callers: how they authenticate, what they may do, and under which role of the database."""

from __future__ import annotations

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from gateway.roles import is_scope, meant
from gateway.setting_groups.group import SettingGroup
from gateway.setting_types import is_loopback, words

MIN_SECRET = 32
"""The fewest bytes of a secret of JWTs."""
ANON = "anon"
"""The database role of anonymous callers, as in Supabase."""


class AccessSettings(SettingGroup):
    """Callers: how they authenticate, what they may do, and under which role of the database."""

    auth: Annotated[tuple[Literal["none", "jwt", "token"], ...], NoDecode, BeforeValidator(words)] = Field(
        default=("none",),
        min_length=1,
        description="How callers authenticate, comma-separated: `none` (every client on this machine), `jwt`, `token` "
        "(service tokens).",
    )
    roles: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description='Additional or redefined roles, as JSON: `{"clinical": ["read", "patient"]}`.',
    )
    jwt_secret: SecretStr | None = Field(
        default=None, description="Secret of JWTs signed by HS256, as Supabase has it; at least 32 bytes."
    )
    jwt_jwks: str | None = Field(
        default=None, description="Public keys of JWTs signed by RS256 or ES256: a file or a URL of a JWK set."
    )
    jwt_issuer: Annotated[tuple[str, ...], NoDecode, BeforeValidator(words)] = Field(
        default=(), description="Trusted issuers (`iss`), comma-separated. Unset: any whose signature verifies."
    )
    jwt_audience: Annotated[tuple[str, ...], NoDecode, BeforeValidator(words)] = Field(
        default=("authenticated",),
        min_length=1,
        description="Audiences; the `aud` claim of a JWT must name one of them.",
    )
    jwt_leeway: float = Field(
        default=10.0, ge=0, le=300, description="Seconds by which the clocks of issuer and gateway may differ."
    )
    jwt_roles: Annotated[tuple[str, ...], NoDecode, BeforeValidator(words)] = Field(
        default=("app_metadata.roles", "role"),
        description="Claims that hold roles and scopes, paths with dots; users must not be able to write them.",
    )
    rls: bool = Field(
        default=False,
        description="Whether the database's own policies decide too: each statement runs in the caller's role, with "
        "`request.jwt.claims`, as in Supabase.",
    )
    rls_roles: Annotated[tuple[str, ...], NoDecode, BeforeValidator(words)] = Field(
        default=("anon", "authenticated"),
        min_length=1,
        description="Roles of the database that callers may have; the gateway's own must be a member of them.",
    )
    rls_token_role: str = Field(default="authenticated", description="The one of them that service tokens have.")

    @field_validator("jwt_roles")
    @classmethod
    def _not_the_users_own(cls, paths: tuple[str, ...]) -> tuple[str, ...]:
        if any(path.split(".")[0] == "user_metadata" for path in paths):
            raise ValueError("users can write user_metadata themselves; use app_metadata")
        return paths

    @field_validator("jwt_jwks")
    @classmethod
    def _cannot_be_exchanged(cls, source: str | None) -> str | None:
        url = urlsplit(source or "")
        if "://" in (source or "") and url.scheme != "https" and not is_loopback(url.hostname or ""):
            raise ValueError(
                "keys must be fetched by https://, or from this machine, so that they cannot be replaced in transit"
            )
        return source

    @field_validator("rls_roles")
    @classmethod
    def _limits_callers(cls, roles: tuple[str, ...]) -> tuple[str, ...]:
        if "none" in roles:
            raise ValueError("an empty list would leave the gateway's own role; name roles that policies are made for")
        return roles

    @field_validator("roles")
    @classmethod
    def _known_scopes(cls, roles: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for name, scopes in roles.items():
            if wrong := [scope for scope in scopes if not is_scope(scope)]:
                raise ValueError(
                    f"{name}: there is no scope {', '.join(wrong)}{meant(wrong[0]) or '; the reference lists them'}"
                )
            if is_scope(name):
                raise ValueError(f"{name} is a scope; call the role otherwise")
        return roles

    @model_validator(mode="after")
    def _can_verify(self) -> Self:
        if "jwt" in self.auth and not (self.jwt_secret or self.jwt_jwks):
            raise ValueError("GATEWAY_AUTH: jwt needs GATEWAY_JWT_SECRET or GATEWAY_JWT_JWKS to verify signatures")
        if self.jwt_secret and len(self.jwt_secret.get_secret_value().encode()) < MIN_SECRET:
            raise ValueError(f"GATEWAY_JWT_SECRET: has fewer than {MIN_SECRET} bytes and could be guessed")
        return self

    @model_validator(mode="after")
    def _has_its_roles(self) -> Self:
        if self.rls and self.rls_token_role not in self.rls_roles:
            raise ValueError(f"GATEWAY_RLS_TOKEN_ROLE: {self.rls_token_role} is not one of GATEWAY_RLS_ROLES")
        if self.rls and "none" in self.auth and ANON not in self.rls_roles:
            raise ValueError(f"GATEWAY_RLS_ROLES: {ANON} is missing, the role of callers without a credential")
        return self
