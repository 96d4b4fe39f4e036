"""What the graph takes from libraries beyond their public interfaces, one module a library, as ``db.adapters`` says."""
