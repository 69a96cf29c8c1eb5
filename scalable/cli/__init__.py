"""The command line, ``scalable``: one module per command, each a thin layer over what it shows.

``app`` puts them together. Nothing here imports Dask but by starting a session; what a command needs is
imported when it runs, so that help and reports come at once.
"""
