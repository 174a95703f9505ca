"""`stage4`: the service from a terminal, over HTTP; needs neither Airflow nor the engine."""
