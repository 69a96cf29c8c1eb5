"""In a process of its own: an attempt with ``isolate=True``.

On the worker, ``isolation`` waits for the answer, and ``keeping`` holds the worker's one keeper. In that
process, ``keeper`` forks the children, ``ward`` watches and ends them, ``warm`` has their modules imported
ahead, after a ``trial``. In the fork, ``child`` runs the task. ``wire`` is what they say to each other;
``output`` and ``memory`` what the task printed and used; ``mortal`` has a process die with its parent.
"""
