"""The clustering engine: neighbour graph, spanning tree, condensed tree, quality.

Pure functions of arrays; no file, no settings model, no Airflow.
"""
