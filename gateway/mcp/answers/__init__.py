"""Curated answers: a GraphQL document each, with what it answers and what misleads in comments before it.

The name of a file is the question's; its first comment is what a model reads, ``note:`` begins a warning.
"""
