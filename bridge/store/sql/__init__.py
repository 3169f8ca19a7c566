"""The record of calls in a database: SQLite, or PostgreSQL where many nodes share it."""
