"""The database: models, SQL, migrations, connections. Knows nothing of GraphQL or HTTP."""
