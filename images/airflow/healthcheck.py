"""Tells Docker whether a component of Airflow is well: `healthcheck.py scheduler`.

The API server knows each component's last heartbeat. Asking it takes a tenth of a second, where
`airflow jobs check` imports Airflow anew every time.
"""

import json
import os
import sys
import urllib.request


def main(component: str) -> None:
    """Exit with 0 if the component (its name in the health report) is well."""
    url = os.environ.get("STAGE4_HEALTH_URL", "http://api-server:8080/api/v2/monitor/health")
    with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - the URL is ours
        report = json.load(answer)
    status = report[component]["status"]
    if status != "healthy":
        sys.exit(f"{component} is {status}")


if __name__ == "__main__":
    main(sys.argv[1])
