"""What a language model is asked about clusters, and what it has answered.

The step `label` writes the questions and applies the answers; Airflow's worker asks, because a step
has neither a network nor connections. Both read and write these files of the workspace.
"""
