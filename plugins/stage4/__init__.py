"""Stage 4 in Airflow: operators, the DAG factory, and the clients of its neighbours."""

__version__ = "0.1.0"
