"""The results database's schema, as alembic migrations; applied by `python -m stage4.setup`."""
