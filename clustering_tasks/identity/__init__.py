"""Lasting ids: which cluster of a run is which cluster of the runs before.

`matching` decides by members alone, as a pure function; `lineage` explains each decision;
`succession` makes of one registry the next, `registry` reads and writes what a run leaves behind,
and `published` finds what a run goes on from. The step `identify` joins them.
"""
