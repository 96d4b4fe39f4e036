"""Curated questions: a GraphQL document each, with its description and warnings in comments before it.

The file's name is the question's; its first comment is the description that a model reads. Other comments:

- ``note:`` begins a warning,
- ``row: model Model`` says that a variable is a row of a type, given by a name, an id or a reference,
- ``said:`` with the name of an operation or of a helper gives a sentence for an answer of that operation,
- ``single:`` names lists of which only the first row is shown, as an object.

Variables of enums accept any spelling. A document may have several operations: the first whose variables are all given
is run. A comment with the name of a variable gives the default row, or for a text its possible words. The list of the
question takes ``$first`` and ``$after``. Any other list has its ``totalCount`` and a literal ``first``, or ``$first``
where both lists are to grow together, and stands in the operation itself or in a row with an ``id``: the ``after`` in
``more`` then continues it by the same call.
"""
