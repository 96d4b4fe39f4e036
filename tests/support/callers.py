"""Callers for tests: JWTs as Supabase makes them, and clients that send them."""

from __future__ import annotations

import time
from typing import Any

import httpx
import jwt

from tests.support.client import Client

SECRET = "a secret of thirty-two bytes or more"
JWT = {"auth": ("jwt",), "jwt_secret": SECRET}
"""The settings of a gateway that believes these."""


def token(*roles: str, key: Any = SECRET, algorithm: str = "HS256", kid: str | None = None, **claims: Any) -> str:
    """A JWT of a user with these roles and scopes; claims that are None are left out."""
    made = {
        "sub": "ada",
        "aud": "authenticated",
        "role": "authenticated",
        "iat": int(time.time()),
        "exp": int(time.time()) + 2 * 86_400,  # some are made when tests are collected, long before they run
        "app_metadata": {"roles": list(roles)},
    }
    given = {name: value for name, value in (made | claims).items() if value is not None}
    return jwt.encode(given, key, algorithm, {"kid": kid} if kid else None)


def calling(client: Client, credential: str | None) -> Client:
    """The same gateway, asked with a credential."""
    headers = {} if credential is None else {"authorization": f"Bearer {credential}"}
    http = httpx.AsyncClient(transport=httpx.ASGITransport(client.app), base_url="http://localhost", headers=headers)
    return Client(http, client.app)
