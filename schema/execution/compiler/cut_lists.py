"""Which selections lead to lists that may be cut: a root above one reports which of its lists were."""

from __future__ import annotations

from schema.catalogue.catalogue import Catalogue, Type
from schema.catalogue.selection import Selection, is_unsized, node_selections
from schema.sql.lists import Lists


class CutLists:
    """Finds lists selected without a size, and totals that may be left out, in selections."""

    def __init__(self, catalogue: Catalogue, lists: Lists) -> None:
        self._catalogue = catalogue
        self._lists = lists

    def below_root(self, selection: Selection) -> bool:
        """Whether a root is such a list, or leads to one."""
        root = self._catalogue.roots.get(selection.name)
        if root is None:  # `node` and `nodes`
            types = [self._catalogue.types.get(name) for name in selection.concrete_types()]
            return any(type_ is not None and self.below_row(type_, selection) for type_ in types)
        type_ = self._catalogue[root.target]
        return self._below_list(type_, selection) if root.many else self.below_row(type_, selection)

    def _below_list(self, type_: Type, connection: Selection) -> bool:
        if is_unsized(connection) or self._lists.unsaid_totals(connection):
            return True
        return any(self.below_row(type_, one) for one in node_selections(connection))

    def below_row(self, type_: Type, row: Selection) -> bool:
        """Whether a row of a type leads to one."""
        for child in row.on(type_.name).values():
            if relation := type_.relations.get(child.name):
                follow = self._below_list if relation.many else self.below_row
                if follow(self._catalogue[relation.target], child):
                    return True
        return False
