"""Airflow with an embedded PostgreSQL on one's own machine: `make up`, `make down`, `make demo`."""

import sys
from pathlib import Path

# `stage4` lies below plugins/, where Airflow looks for it; its lists of tasks are read here, too.
_PLUGINS = str(Path(__file__).parents[1] / "plugins")
if _PLUGINS not in sys.path:
    sys.path.append(_PLUGINS)
