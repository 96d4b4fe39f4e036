"""One file per revision, written by ``python -m db.migrations revision -m "..."`` and read by people."""
