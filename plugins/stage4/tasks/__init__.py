"""Tasks that run in the Airflow worker, one module per DAG."""
