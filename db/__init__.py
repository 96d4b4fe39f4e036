"""What there is: models, SQL, migrations and the database itself. Knows nothing of GraphQL or HTTP."""
