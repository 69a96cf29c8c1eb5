"""What became of a run, for people and for programs: lines of text, and plain data for JSON.

Nothing here prints or starts anything, and nothing imports Dask. ``locate`` finds a run, ``text`` and
``failures`` word it, ``live`` while it goes on, ``diff`` compares two, ``data`` makes it JSON, ``html`` a
page; ``answer`` is what ``scalable report`` tells. ``harmless``, ``quantities`` and ``frames`` are what they
share. The command line prints what these return.
"""
