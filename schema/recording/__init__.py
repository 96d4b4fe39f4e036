"""Recording: mutations that insert, update, retire and purge rows.

Inputs are typed, references are by id or unique key, and errors name the row and field. The code is generic over the
declarations on the models (``__record__``) and names no table.
"""
