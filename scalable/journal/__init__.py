"""What happened in a run, on disk: JSON Lines that are readable while the run goes on.

``records`` says what a line holds, ``rundir`` where the files are, ``gate`` lets no secret through,
``writer`` appends, ``reader`` streams, ``summary`` folds, ``live`` while the run goes on.
"""
