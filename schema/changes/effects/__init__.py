"""The code of single lifecycles: effects, checks, and mutations that are more than transitions.

Importing it registers those of all its modules.
"""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
