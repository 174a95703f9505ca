"""Runs that work on what is new: their base, and when one may be continued.

`base` finds the published run that a run continues; `mode` decides between continuing it and
clustering all anew, and records why.
"""
