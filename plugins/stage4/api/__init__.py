"""The REST API for look-ups, mounted on Airflow's API server by `plugins/stage4_plugin.py`."""
