"""What happened in a run, on disk: JSON Lines that are readable while the run goes on.

``records`` says what a line holds, ``rundir`` where the files are, ``writer`` appends, ``reader``
streams, ``summary`` folds.
"""
