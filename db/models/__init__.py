"""The models of the platform's tables and their lifecycles, by group; importing this package maps all of them."""

from importlib import import_module
from pkgutil import iter_modules

from db.base.metadata import add_comments, add_indexes

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

add_comments()
add_indexes()
