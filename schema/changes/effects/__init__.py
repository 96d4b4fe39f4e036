"""What is particular to a group's lifecycles: effects, checks, and mutations that are more than a move.

Importing this binds those of every module here.
"""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
