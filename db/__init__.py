"""The database: models, SQL, migrations, connections. Independent of GraphQL and HTTP."""
