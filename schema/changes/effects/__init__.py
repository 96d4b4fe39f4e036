"""Code of single groups: effects, checks, and special mutations.

Importing this binds those of every module here.
"""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
