"""Recording: rows that clients make, in batches or one by one: typed inputs, references by unique keys, conflicts,
exact errors.

Generic over the declarations on the models (``__record__``); nothing here knows a table by name.
"""
