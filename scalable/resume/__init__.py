"""What a run leaves for the next: results and failures for good, kept by what was called with what.

``identity`` says which call is the same as one of an earlier run; ``packs`` has what became of it, on disk;
``chain`` finds the runs that are resumed, ``index`` what they left, ``claims`` who has taken it; ``evidence``
tells whether a failure would come again. ``shelf`` is what a worker sees of all that.
"""
