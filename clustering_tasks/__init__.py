"""Stage 4's work: from vectors to labelled clusters, without Airflow.

One module per step (`snapshot`, `plan`, `cluster`, `merge`, `label`); `engine` holds the
algorithms.
"""
