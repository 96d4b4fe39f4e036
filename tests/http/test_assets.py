"""The built files of the pages: compressed once, kept by browsers, sent as they are where that is asked for."""

from __future__ import annotations

import gzip
import os
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from gateway.http import assets
from gateway.http.assets import Assets

TEXT = b"body { color: red }\n" * 100


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "page-12345678.css").write_bytes(TEXT)
    (tmp_path / "assets" / "small-12345678.css").write_bytes(TEXT[:100])
    (tmp_path / "assets" / "picture-12345678.png").write_bytes(TEXT)
    (tmp_path / "licences.md").write_bytes(TEXT)
    return tmp_path


@pytest.fixture
async def files(folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(Assets(folder, {"x-content-type-options": "nosniff"}))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


async def sent(files: httpx.AsyncClient, path: str, **headers: str) -> tuple[httpx.Response, bytes]:
    """An answer, and its body as it was sent."""
    named = {name.replace("_", "-"): value for name, value in ({"accept_encoding": "gzip"} | headers).items()}
    async with files.stream("GET", path, headers=named) as answer:
        return answer, b"".join([part async for part in answer.aiter_raw()])


async def test_a_file_is_compressed_once_for_all(files: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    packed: list[Path] = []

    def pack(path: Path) -> bytes:
        packed.append(path)
        return gzip.compress(path.read_bytes())

    monkeypatch.setattr(assets, "_packed", pack)
    for _ in range(3):
        answer, body = await sent(files, "/assets/page-12345678.css")
        assert (answer.status_code, answer.headers["content-encoding"]) == (200, "gzip")
        assert int(answer.headers["content-length"]) == len(body)
        assert gzip.decompress(body) == TEXT
        assert answer.headers["content-type"].startswith("text/css")
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["vary"] == "accept-encoding"
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert len(packed) == 1


async def test_a_file_that_was_built_anew_is_read_anew(files: httpx.AsyncClient, folder: Path) -> None:
    first, _ = await sent(files, "/licences.md")
    (folder / "licences.md").write_bytes(TEXT + b"more")
    os.utime(folder / "licences.md", (1, 1))
    second, body = await sent(files, "/licences.md")
    assert gzip.decompress(body) == TEXT + b"more"
    assert first.headers["etag"] != second.headers["etag"]
    assert second.headers["cache-control"] == "no-cache"
    third, body = await sent(files, "/licences.md", if_none_match=second.headers["etag"])
    assert (third.status_code, body) == (304, b"")


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("page-12345678.css", {"accept_encoding": ""}),
        ("page-12345678.css", {"accept_encoding": "gzip;q=0"}),
        ("small-12345678.css", {}),
        ("picture-12345678.png", {}),
    ],
)
async def test_what_gains_nothing_or_is_not_welcome_is_sent_as_it_is(
    files: httpx.AsyncClient, folder: Path, path: str, headers: dict[str, str]
) -> None:
    answer, body = await sent(files, f"/assets/{path}", **headers)
    assert "content-encoding" not in answer.headers
    assert answer.headers["vary"] == "accept-encoding"
    assert body == (folder / "assets" / path).read_bytes()


async def test_a_part_of_a_file_is_of_the_file(files: httpx.AsyncClient) -> None:
    answer, body = await sent(files, "/assets/page-12345678.css", range="bytes=0-3")
    assert (answer.status_code, body) == (206, b"body")
    whole, _ = await sent(files, "/assets/page-12345678.css")
    assert whole.headers["etag"] == f"W/{answer.headers['etag']}", "nobody adds parts of it to what is compressed"
    head = await files.head("/assets/page-12345678.css")
    assert (head.status_code, head.content) == (200, b"")
