/// Support for tests that need a PostgreSQL server.
