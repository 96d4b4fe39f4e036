"""The Postgres of a run: prints its URL and its process.

Until its input ends, it drops what tests have left behind when it is told to.
"""

import asyncio
import sys

from db.embedded.process import postmaster
from db.embedded.server import ADMIN_ROLE
from tests.support.databases import connect
from tests.support.servers import postgres, server_folder


async def clean(url: str) -> None:
    """Drops the databases of tests that were ended."""
    connection = await connect(url)
    for row in await connection.fetch("SELECT datname FROM pg_database WHERE datname LIKE 'e2i\\_test\\_%'"):
        await connection.execute(f'DROP DATABASE "{row[0]}" WITH (FORCE)')
    await connection.close()


with server_folder() as folder, postgres(folder) as server:
    admin = server.url("postgres", ADMIN_ROLE)
    running = postmaster(server.cluster)
    assert running is not None
    print(admin, running.process.pid, sep="\n", flush=True)
    for _ in sys.stdin:
        asyncio.run(clean(admin))
        print("clean", flush=True)
