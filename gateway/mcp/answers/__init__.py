"""Curated answers: a GraphQL document each, with what it answers and what misleads in comments before it.

The name of a file is the question's; its first comment is what a model reads. Of the others

- ``note:`` begins a warning,
- ``row: model Model`` says that a variable is a row of a type, which is taken by a name, an id or a reference,
- ``said:`` and the name of an operation, or of a helper, say what is said where it was run,
- ``single:`` names lists whose first row is what is wanted: it is shown by itself, as no list.

Variables of enums take any spelling. A document may have several operations: the first is run whose variables are
there. One by the name of a variable says which row that is unless said, or, for a text, which words it may be. The list
of the question takes ``$first`` and ``$after``. Any other list has its ``totalCount`` and a literal ``first``, or
``$first`` where who wants more of the one wants more of the other, and stands in the operation itself or in a row with
an ``id``: the ``after`` that ``more`` gives reads it on by the same call.
"""
