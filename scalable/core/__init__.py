"""The pure core: decisions about tasks, as functions of values.

Nothing here knows Dask, a clock, chance, a thread, a file or a log. Time and luck are fields of the
events, so a recorded run replays exactly.
"""
