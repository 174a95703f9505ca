"""Corrections by people: what a run is told about its items and clusters, and how it is kept.

| module | does |
| --- | --- |
| `correction.py` | one correction, checked |
| `contradictions.py` | which corrections cannot hold together, by name; a pure function |
| `frozen.py` | the file of a run's corrections, named by its digest |
| `rows.py` | the rows of a snapshot that corrections name |

The step `merge` applies `together` and `apart`, the step `label` the others.
"""
