"""Dashboard and explorer, mounted on Airflow's API server by `plugins/stage4_plugin.py`."""
