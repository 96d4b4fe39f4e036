"""``python -m db.migrations revision -m "..."`` writes a migration; ``... check`` says whether one is missing."""

import argparse
import asyncio
import os
import sys

from db.migrations.revise import differences, new_revision
from db.migrations.setup import SetupError


def main() -> int:
    """Runs one command; with DATABASE_URL on that database, else on a temporary one. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m db.migrations", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    revision = commands.add_parser("revision", help="write the migration from the last one to the models")
    revision.add_argument("-m", "--message", required=True, help="what changes, in a few words")
    commands.add_parser("check", help="exit with 1 if the models have changes without a migration")
    arguments = parser.parse_args()
    url = os.environ.get("DATABASE_URL") or None
    try:
        if arguments.command == "revision":
            path = asyncio.run(new_revision(url, arguments.message))
            sys.stdout.write(f"{path}\n" if path else "The migrations already say what the models say.\n")
            return 0
        found = asyncio.run(differences(url))
    except SetupError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write("".join(f"{line}\n" for line in found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
