"""Lasting ids: which cluster of a run is which cluster of the runs before.

`matching` decides by members alone, as a pure function; `registry` holds what a published run
leaves behind for the next one; `lineage` explains each decision. The step `identify` joins them.
"""
