"""Authentication: JWTs and service tokens that are accepted, and the errors of those that are not."""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import hmac
import json
import math
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import asyncpg
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from db.migrations import setup
from db.store import tokens
from gateway.auth import authentication, jwks
from gateway.auth.authentication import Authentication, UnauthenticatedError
from gateway.cli.tokens import create as create_token
from gateway.settings import Settings, SettingsError, load
from tests.support.callers import JWT, SECRET, calling, token
from tests.support.client import Client, serving
from tests.support.databases import Database, connect
from tests.support.process import run

QUERY = "{ models(first: 1) { nodes { modelName } } }"
ME = "{ models(first: 1) { totalCount } }"


@pytest.fixture(scope="module")
async def client(own: Database) -> AsyncIterator[Client]:
    """A gateway that believes JWTs of one secret, and service tokens."""
    async with serving(
        own.gateway_url, **(JWT | {"auth": ("jwt", "token"), "jwt_issuer": ("https://e2i.test",)})
    ) as one:
        yield one


def good(*roles: str, **claims: Any) -> str:
    return token(*(roles or ("viewer",)), **({"iss": "https://e2i.test"} | claims))


async def refused(client: Client, credential: str | None) -> tuple[str, str]:
    """What a client is told who is not let in: the message, and the challenge."""
    answer = await calling(client, credential).post(QUERY)
    assert answer.status_code == 401, answer.text
    (error,) = answer.json()["errors"]
    assert answer.json().keys() == {"errors"}
    assert error["extensions"] == {"code": "UNAUTHENTICATED"}
    return error["message"], answer.headers["www-authenticate"]


# -- JWTs --------------------------------------------------------------------------------------------------------------


async def test_a_jwt_as_supabase_makes_it(client: Client) -> None:
    assert (await calling(client, good()).data(QUERY))["models"]["nodes"]


async def test_without_a_credential(client: Client) -> None:
    message, challenge = await refused(client, None)
    assert "a JWT or a service token" in message
    assert challenge == 'Bearer realm="e2i-gateway"'


def unsigned(claims: dict[str, Any]) -> str:
    parts = [json.dumps(part).encode() for part in ({"alg": "none", "typ": "JWT"}, claims)]
    return ".".join([*(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts), ""])


def claims(**other: Any) -> dict[str, Any]:
    return jwt.decode(good(**other), options={"verify_signature": False})


def sealed(payload: str, header: str = '{"alg":"HS256","typ":"JWT"}') -> str:
    """A JWT with a good signature over texts that no library would write."""
    parts = [base64.urlsafe_b64encode(part.encode()).rstrip(b"=") for part in (header, payload)]
    signature = hmac.digest(SECRET.encode(), b".".join(parts), hashlib.sha256)
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


LOOK_RESERVED = [
    "Anonymous", " token:bot", "TOKEN:bot", "\uff54\uff4f\uff4b\uff45\uff4e\uff1abot", "token\uff1abot",
    "to\u212aen:bot", "tok\u0301en:bot", "token\ufe0f:bot", "t\u043eken:bot", "\u0442\u043e\u043a\u0435n:bot",
    "token\u2236bot", "token :bot", "\u3164token:bot", "\U0001d42d\U0001d428\U0001d424\U0001d41e\U0001d427:bot",
    "  anonymous", "\u24d0nonymous", "an\u03bfnymous",
]  # fmt: skip
NO_DATES = [10**400, -(10**400), 10**17, 1e300, True, [], {}, "tomorrow", str(2**33), [2**33], math.inf, math.nan]
DATED = (
    '{"sub":"ada","aud":"authenticated","iss":"https://e2i.test","exp":%s,"app_metadata":{"roles":["viewer"]},"x":%s}'
)
PLAIN = DATED % (2**33, "1")
ODD_CLAIMS = [
    DATED % ("1e400", "1"), DATED % ("-1e400", "1"), DATED % ("NaN", "1"), DATED % ("9" * 4000, "1"),
    DATED % ("9" * 5000, "1"), DATED % (2**33, "[" * 2500 + "]" * 2500),
    "[" * 3000, "[]", "1", '"x"', "null", "", "\x00", "{}",
    *(PLAIN.replace('"ada"', name) for name in (r'"\ud800"', r'"a\u0000"', "[]", "12", '{"a":1}', "1e400", '" "')),
    *(PLAIN.replace('"authenticated"', one) for one in ('[["authenticated"]]', "{}", r'["\ud800", 1]', "1", "null")),
    *(PLAIN.replace('"https://e2i.test"', issuer) for issuer in ("[]", "{}", "1", r'"\ud800"')),
    PLAIN.replace('"x"', '"jti"'), PLAIN.replace('"x":1', '"iat":1e400'), PLAIN.replace('"x":1', '"nbf":-1e400'),
]  # fmt: skip
ODD_HEADERS = [
    "[" * 3000, "[]", "1", "null", '{"alg":["HS256"]}', '{"alg":{"HS256":1}}', '{"alg":"HS256","kid":1}',
    '{"alg":"HS256","kid":[]}', '{"alg":"HS256","crit":["x"],"x":1}', '{"alg":"HS256","crit":1}',
    '{"alg":"HS256","b64":false,"crit":["b64"]}', r'{"alg":"\ud800"}', '{"alg":' + "9" * 5000 + "}",
    '{"alg":"HS256","x":' + "[" * 2500 + "]" * 2500 + "}",
]  # fmt: skip


RSA_KEY = rsa.generate_private_key(65537, 2048)
OTHER_RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())


@pytest.mark.parametrize(
    ("credential", "said"),
    [
        (good(exp=int(time.time()) - 60), "has expired"),
        (good(exp=None), "lacks the claim exp"),
        (good(exp="soon"), "not valid"),
        (good(nbf=int(time.time()) + 86_400), "not valid yet"),
        (good(aud="somebody-else"), "another audience"),
        (good(aud=None), "lacks the claim aud"),
        (good(iss="https://evil.test"), "another issuer"),
        (good(iss=None), "lacks the claim iss"),
        (good(key="another secret of thirty-two bytes"), "signature"),
        (good() + "x", "signature"),
        (good(algorithm="HS512", key=SECRET * 2), "must be signed by HS256"),
        (good(key=RSA_KEY, algorithm="RS256"), "must be signed by HS256"),
        (unsigned(claims()), "must be signed by HS256"),
        (good().rsplit(".", 1)[0] + ".", "signature"),
        (good(sub=None, role=None), "must be a text of at most"),
        (good(sub="x" * 300), "must be a text of at most"),
        (good(sub="token:bot"), "is a reserved name"),
        *((good(sub=name), "is a reserved name") for name in LOOK_RESERVED),
        *((good(**{name: date}), "") for name in ("exp", "nbf", "iat") for date in NO_DATES),
        *((sealed(raw), "") for raw in ODD_CLAIMS),
        *((sealed("{}", header), "") for header in ODD_HEADERS),
        ("nonsense", "not a JWT"),
        ("a.b.c", "not a JWT"),
        ("x" * 9000, "at most 8192"),
        ("e2i_" + "x" * 43, "unknown, revoked or expired"),
        ("e2i_short", "unknown, revoked or expired"),
    ],
)
async def test_credentials_that_are_not_believed(credential: str, said: str, client: Client) -> None:
    message, challenge = await refused(client, credential)
    assert said in message
    assert 'error="invalid_token"' in challenge
    assert SECRET not in message


@pytest.mark.parametrize(
    "name", ["ada", "tokens", "Anatoly", "an.onymous@e2i.test", "\u0410\u043d\u043d\u0430", "broken:x"]
)
async def test_names_that_are_ones_own(name: str, client: Client) -> None:
    assert (await calling(client, good(sub=name)).post(QUERY)).status_code == 200


@pytest.mark.parametrize(
    "value", ["1e400", "NaN", r'"\ud800"', r'{"\udfff":1}', r'"a\u0000b"', r'{"\u0000":1}', "[" * 90 + "]" * 90]
)
async def test_claims_that_the_database_cannot_read(value: str, own: Database, client: Client) -> None:
    """Where nobody reads them they are nobody's concern."""
    credential = sealed(DATED % (2**33, value))
    assert (await calling(client, credential).post(QUERY)).status_code == 200
    settings = Settings(**JWT, rls=True)  # type: ignore[arg-type]
    engine = client.app.state.engine
    strict = Authentication(settings, engine, engine)
    with pytest.raises(UnauthenticatedError, match=r"(?i)claim"):
        await strict.authenticate(f"Bearer {credential}")
    exact = r'[123456789012345678901234567890, "\\u0000"]'
    kept = (await strict.authenticate(f"Bearer {sealed(DATED % (2**33, exact))}")).identity
    assert kept is not None
    assert exact in kept.claims


async def test_clocks_may_differ_a_little(client: Client) -> None:
    late = good(exp=int(time.time()) - 5)
    early = good(iat=int(time.time()) + 5, nbf=int(time.time()) + 5)
    for one in (late, early):
        assert await calling(client, one).data(QUERY)


@pytest.mark.parametrize(
    "header", ["", "Basic dXNlcjpwYXNzd29yZA==", "Bearer", "Bearer ", "Token x", "Bearer a, Bearer b"]
)
async def test_headers_that_are_no_bearer_token(header: str, client: Client) -> None:
    answer = await client.http.post("/graphql", json={"query": QUERY}, headers={"authorization": header})
    assert answer.status_code == 401


async def test_a_known_jwt_ends_when_it_ends(own: Database) -> None:
    async with serving(own.gateway_url, **JWT, jwt_leeway=0) as client:
        caller = calling(client, token("viewer", exp=int(time.time()) + 2))
        await caller.data(QUERY)
        async with asyncio.timeout(20):
            while (await caller.post(QUERY)).status_code == 200:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert "expired" in (await caller.error(QUERY))["message"]


async def test_no_more_credentials_are_remembered_than_there_is_room_for(
    own: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.auth.authentication.CAPACITY", 4)
    async with serving(own.gateway_url, **JWT) as client:
        authentication = client.app.state.authentication
        names = [f"user{n}" for n in range(20)]
        for name in names:
            caller = await authentication.authenticate(f"Bearer {token('viewer', sub=name)}")
            assert caller.name == name
        assert len(authentication._known) == 4


async def test_roles_and_scopes_come_from_the_claims_that_are_named(own: Database) -> None:
    given = JWT | {"jwt_roles": ("groups", "deep.er"), "roles": {"clinical": ("read:cohort_constructor", "patient")}}
    async with serving(own.gateway_url, **given) as client:
        authenticate = client.app.state.authentication.authenticate
        made = token("admin", groups="viewer nothing", deep={"er": ["clinical", 7, None]})
        caller = await authenticate(f"Bearer {made}")
        assert caller.roles == {"viewer", "clinical"}
        assert {"patient", "read:ab_testing", "read:cohort_constructor"} <= caller.scopes
        assert not caller.may("change"), "what another claim says is nothing"
        assert caller.claims["sub"] == "ada"
        nobody = await authenticate(f"Bearer {token('admin', groups=None)}")
        assert (nobody.roles, nobody.scopes) == (frozenset(), frozenset())


async def test_who_has_no_scope_reads_nothing(client: Client) -> None:
    answer = await calling(client, good("unheard-of")).ask("{ __typename experiments { totalCount } }")
    assert answer["data"] == {"__typename": "Query", "experiments": None}
    assert answer["errors"][0]["extensions"] == {"code": "FORBIDDEN_FIELD", "scope": "read:mlops_core"}


async def test_the_same_for_whoever_has_no_header(client: Client) -> None:
    """What a WebSocket's connection_init uses."""
    authenticate = client.app.state.authentication.authenticate
    assert (await authenticate(f"Bearer {good(sub='grace')}")).name == "grace"
    assert (await authenticate(f"bearer  {good(sub='grace')}")).name == "grace"
    with pytest.raises(UnauthenticatedError):
        await authenticate(None)


async def test_pages_and_health_are_public(client: Client) -> None:
    for path, accept in (("/graphql", "text/html"), ("/explorer", "*/*"), ("/healthz", "*/*"), ("/readyz", "*/*")):
        answer = await client.http.get(path, headers={"accept": accept})
        assert answer.status_code == 200, path


# -- sets of keys ------------------------------------------------------------------------------------------------------


def jwk(key: Any, kid: str | None, **other: Any) -> dict[str, Any]:
    """A public key as a set has it."""
    algorithm: Any = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    made: dict[str, Any] = json.loads(algorithm.to_jwk(key.public_key()))
    return made | ({"kid": kid} if kid else {}) | other


def key_set(*keys: dict[str, Any]) -> str:
    return json.dumps({"keys": list(keys)})


class Issuer:
    """An issuer's set of keys behind a URL."""

    def __init__(self) -> None:
        self.keys = key_set(jwk(RSA_KEY, "a"))
        self.fails = False
        self.asked = 0
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += 1
                self.send_response(500 if issuer.fails else 200)
                self.end_headers()
                self.wfile.write(issuer.keys.encode())

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/jwks.json"


@contextmanager
def issuing() -> Iterator[Issuer]:
    issuer = Issuer()
    thread = Thread(target=issuer.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield issuer
    finally:
        issuer.server.shutdown()
        issuer.server.server_close()
        thread.join()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What is added to the time by which sets of keys are read again."""
    added = [0.0]
    monkeypatch.setattr(jwks, "monotonic", lambda: time.monotonic() + added[0])
    return added


def signed(key: Any, kid: str | None, **claims: Any) -> str:
    algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
    return token("viewer", key=key, algorithm=algorithm, kid=kid, **claims)


async def test_keys_behind_a_url_are_read_once_and_again_when_they_change(own: Database, clock: list[float]) -> None:
    with issuing() as issuer:
        async with serving(own.gateway_url, auth=("jwt",), jwt_jwks=issuer.url) as client:
            many = [calling(client, signed(RSA_KEY, "a", sub=f"user{n}")).data(QUERY) for n in range(8)]
            await asyncio.gather(*many)
            assert issuer.asked == 1, "requests at the same time wait for one reading"
            issuer.keys = key_set(jwk(EC_KEY, "b"))
            assert (await refused(client, signed(EC_KEY, "b")))[0].endswith("an unknown key.")
            assert issuer.asked == 1, "it was read a moment ago"
            clock[0] += jwks.COOLDOWN + 1
            assert await calling(client, signed(EC_KEY, "b")).data(QUERY)
            assert issuer.asked == 2
            for n in range(5):
                await refused(client, signed(OTHER_RSA_KEY, f"unknown{n}"))
            assert issuer.asked == 2, "unknown keys do not make it ask again and again"
            await refused(client, signed(RSA_KEY, "a", sub="new"))
            issuer.fails = True
            clock[0] += jwks.LIFESPAN
            assert await calling(client, signed(EC_KEY, "b", sub="x")).data(QUERY), "an issuer that is away for a while"
            clock[0] += jwks.STALE
            answer = await calling(client, signed(EC_KEY, "b", sub="y")).post(QUERY)
            assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (503, "KEYS_UNAVAILABLE")
            assert "retry-after" in answer.headers


async def test_keys_in_a_file(own: Database, tmp_path: Path, clock: list[float]) -> None:
    file = tmp_path / "jwks.json"
    file.write_text(key_set(jwk(EC_KEY, None), {"kty": "unheard-of"}))
    async with serving(own.gateway_url, auth=("jwt",), jwt_jwks=str(file)) as client:
        assert await calling(client, signed(EC_KEY, None)).data(QUERY)
        file.write_text(key_set(jwk(RSA_KEY, "a"), jwk(EC_KEY, "b")))
        clock[0] += jwks.LIFESPAN + 1
        assert await calling(client, signed(RSA_KEY, "a")).data(QUERY)
        assert "unknown key" in (await refused(client, signed(EC_KEY, None, sub="x")))[0], "of two keys none is meant"


async def test_no_key_verifies_by_another_algorithm_than_its_own(own: Database, tmp_path: Path) -> None:
    public = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    file = tmp_path / "jwks.json"
    secret_in_set = {"kty": "oct", "kid": "s", "k": base64.urlsafe_b64encode(SECRET.encode()).rstrip(b"=").decode()}
    signing = jwk(RSA_KEY, "e", use="enc")
    file.write_text(key_set(jwk(RSA_KEY, "a"), jwk(EC_KEY, "b"), secret_in_set, signing))

    def confused(key: bytes, kid: str) -> str:
        """Signed with a public key as if it were a secret, which PyJWT itself would not do."""
        parts = [{"alg": "HS256", "typ": "JWT", "kid": kid}, claims()]
        text = b".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)
        mac = base64.urlsafe_b64encode(hmac.new(key, text, hashlib.sha256).digest()).rstrip(b"=")
        return (text + b"." + mac).decode()

    for given in ({"jwt_jwks": str(file)}, {"jwt_jwks": str(file), "jwt_secret": "s" * 40}):
        async with serving(own.gateway_url, auth=("jwt",), **given) as client:
            assert await calling(client, signed(RSA_KEY, "a")).data(QUERY)
            await refused(client, confused(public, "a"))
            await refused(client, token("viewer", kid="s"))
            await refused(client, signed(RSA_KEY, "b"))
            await refused(client, signed(RSA_KEY, "e"))
            await refused(client, signed(OTHER_RSA_KEY, "a"))


# -- service tokens ----------------------------------------------------------------------------------------------------


async def made(own: Database, name: str, *scopes: str) -> str:
    async with setup.connect(own.owner_url) as connection, connection.begin():
        return await tokens.create(connection, name, scopes, 1)


@pytest.fixture
async def sql(own: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(own.owner_url)
    yield connection
    await connection.close()


@pytest.mark.slow
async def test_a_service_token_from_its_making_to_its_end(
    own: Database, client: Client, sql: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(run, "token", *arguments, DATABASE_URL=own.owner_url, GATEWAY_LOG="error")

    done = await command("create", "bot", "--scope", "read:mlops_core", "--scope", "change:promoteModel")
    assert "shown this once" in done.stderr
    bot = done.stdout.strip()
    kept = await sql.fetch("SELECT * FROM gateway.service_tokens")
    assert bot.removeprefix("e2i_") not in str(kept), "only its hash is kept"
    caller = calling(client, bot)
    assert await caller.data(QUERY)
    assert (await caller.error("{ monitoringAlerts { totalCount } }"))["extensions"]["scope"] == "read:model_monitoring"
    async with asyncio.timeout(20):
        while await sql.fetchval("SELECT last_used_at FROM gateway.service_tokens") is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert (await client.app.state.authentication.authenticate(f"Bearer {bot}")).name == "token:bot"
    name, state, _until, used, scopes = (await command("list")).stdout.strip().split("\t")
    assert (name, state, scopes) == ("bot", "active", "read:mlops_core change:promoteModel")
    assert used.startswith("used 20")
    assert f"within {authentication.TOKEN_SECONDS:g} seconds" in (await command("revoke", "bot")).stdout
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now + authentication.TOKEN_SECONDS + 0.01)
    await refused(client, bot)
    with pytest.raises(tokens.TokenError, match="take another name"):
        await made(own, "bot", "viewer")
    async with setup.connect(own.owner_url) as connection, connection.begin():
        with pytest.raises(tokens.TokenError, match="could be revoked"):
            await tokens.revoke(connection, "bot")
        assert [one.state for one in await tokens.listed(connection)] == ["revoked"]


async def test_an_expired_token(own: Database, client: Client, sql: asyncpg.Connection) -> None:
    short = await made(own, "short", "viewer")
    await sql.execute("UPDATE gateway.service_tokens SET expires_at = now() - interval '1 second' WHERE name = 'short'")
    await refused(client, short)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"scope": ["superuser"]}, "no role and no scope"),
        ({"scope": ["change:promotModel"]}, r"no role and no scope; did you mean change:promoteModel"),
        ({"scope": ["viewer", "change:everything"]}, "change:everything: no role and no scope"),
        ({"scope": ["vewer"]}, r"did you mean viewer"),
        ({"scope": ["change:"]}, "no role and no scope"),
        ({"days": 0.0}, "out of range"),
        ({"days": math.nan}, "out of range"),
        ({"days": math.inf}, "out of range"),
    ],
)
def test_tokens_that_cannot_be_made(given: dict[str, Any], said: str) -> None:
    asked = argparse.Namespace(**({"name": "b", "scope": ["viewer"], "days": 1.0} | given))
    with pytest.raises(tokens.TokenError, match=said):
        create_token(asked, Settings())


async def test_names_of_tokens(own: Database) -> None:
    for name in ("", "a b", "x" * 101, "a:b", "-x"):
        with pytest.raises(tokens.TokenError, match="not a valid token name"):
            await made(own, name, "viewer")


async def test_the_gateways_role_can_make_no_token(own: Database) -> None:
    connection = await connect(own.gateway_url)
    try:
        for statement in (
            "INSERT INTO gateway.service_tokens (name, hash, scopes, expires_at) VALUES ('x', 'x', '{admin}', now())",
            "UPDATE gateway.service_tokens SET scopes = '{admin}'",
            "DELETE FROM gateway.service_tokens",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()


async def test_a_gateway_takes_only_what_it_is_set_to(own: Database) -> None:
    bot = await made(own, "elsewhere", "viewer")
    async with serving(own.gateway_url, **JWT) as client:
        assert "not taken here" in (await refused(client, bot))[0]
    async with serving(own.gateway_url, auth=("token",)) as client:
        assert "not a service token" in (await refused(client, token("viewer")))[0]
        assert await calling(client, bot).data(QUERY)
    async with serving(own.gateway_url, **(JWT | {"auth": ("none", "jwt")})) as client:
        assert await client.data(QUERY), "this machine's own"
        await refused(client, "nonsense")
        await refused(client, bot)


async def test_tokens_while_the_database_is_away(own: Database) -> None:
    async with serving("postgresql://nobody@127.0.0.1:1/none", auth=("token",)) as client:
        answer = await calling(client, "e2i_" + "x" * 43).post(QUERY)
        assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (503, "DATABASE_UNAVAILABLE")


# -- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_without_authentication_other_machines_are_kept_out() -> None:
    done = run("serve", HOST="0.0.0.0", PORT="0")
    assert done.returncode == 1
    assert all(word in done.stderr for word in ("0.0.0.0", "GATEWAY_AUTH", "127.0.0.1", "jwt or token"))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "gateway.example"])
def test_addresses_that_others_can_reach(host: str) -> None:
    assert Settings(HOST=host).is_exposed


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "::1", "[::1]"])
def test_this_machine_alone(host: str) -> None:
    assert not Settings(HOST=host).is_exposed
    assert Settings(HOST="0.0.0.0", auth=("token",)).is_exposed is False
    assert Settings(HOST="0.0.0.0", **(JWT | {"auth": ("none", "jwt")})).is_exposed


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"AUTH": "basic"}, "GATEWAY_AUTH"),
        ({"AUTH": ","}, "GATEWAY_AUTH"),
        ({"AUTH": "jwt"}, "GATEWAY_JWT_SECRET or GATEWAY_JWT_JWKS"),
        ({"AUTH": "jwt", "JWT_SECRET": "short"}, "fewer than 32 bytes"),
        ({"JWT_ROLES": "user_metadata.roles"}, "app_metadata"),
        ({"JWT_JWKS": "http://issuer.test/jwks.json"}, "https://"),
        ({"JWT_JWKS": "ftp://issuer.test/jwks.json"}, "https://"),
        ({"ROLES": '{"x": ["reed"]}'}, "no scope reed"),
        ({"ROLES": '{"read": ["read"]}'}, "is a scope"),
        ({"RLS": "on", "RLS_ROLES": "anon"}, "GATEWAY_RLS_TOKEN_ROLE"),
        ({"RLS_ROLES": "none"}, "the gateway's own role"),
        ({"RLS": "on", "RLS_ROLES": "authenticated"}, "anon is missing"),
    ],
)
def test_settings_that_cannot_be(variables: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"GATEWAY_{name}", value)
    with pytest.raises(SettingsError) as refused_:
        load()
    assert said in str(refused_.value)
    assert "short" not in str(refused_.value), "a secret is not told"


def test_secrets_are_not_shown() -> None:
    assert SECRET not in repr(Settings(**JWT))
