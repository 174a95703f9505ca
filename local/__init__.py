"""Airflow with an embedded PostgreSQL on one's own machine: `make up`, `make down`, `make demo`."""
