"""``e2i-gateway schema``: the schema as SDL, its interfaces and unions as JSON, its inputs as Python."""

from __future__ import annotations

import argparse
import json
import sys

from gateway.cli import client_module
from gateway.cli.areas import Areas
from gateway.settings import Settings
from schema.schema import build, subgraph


def add(areas: Areas) -> None:
    """Adds the commands."""
    parsers = areas.add_parser("schema", help="the graph's schema").add_subparsers(required=True, metavar="command")
    printed = parsers.add_parser("print", help="print the schema as SDL")
    printed.add_argument("--federation", action="store_true", help="as a subgraph of Apollo Federation 2")
    printed.set_defaults(run=print_sdl)
    possible = parsers.add_parser(
        "possible-types", help="print the members of interfaces and unions, for Apollo Client"
    )
    possible.set_defaults(run=print_possible_types)
    typed = parsers.add_parser("client", help="print the rows, inputs and mutations of the Python client")
    typed.set_defaults(run=print_client)


def print_sdl(options: argparse.Namespace, _settings: Settings) -> int:
    """Prints the schema as SDL, that of the subgraph if asked."""
    sys.stdout.write(subgraph() if options.federation else build().as_str() + "\n")
    return 0


def print_possible_types(_options: argparse.Namespace, _settings: Settings) -> int:
    """Prints the types of each interface and union as the JSON that Apollo's `InMemoryCache` takes."""
    sys.stdout.write(json.dumps(build().possible_types(), indent=2) + "\n")
    return 0


def print_client(_options: argparse.Namespace, _settings: Settings) -> int:
    """Prints the module ``gateway.client.typed``."""
    sys.stdout.write(client_module.module(build().graphql))
    return 0
