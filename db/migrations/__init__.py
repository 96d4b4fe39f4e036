"""The migrations: they build the database from nothing. ``python -m db.migrations`` writes and checks them."""
