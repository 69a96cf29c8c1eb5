"""Between Dask and the pure core, in the order of a task's life.

- :mod:`~scalable.engine.worker`: where the task's code runs, and what is told of it;
- :mod:`~scalable.engine.isolated`: where it runs instead with ``isolate=True``, in a process of its own;
- :mod:`~scalable.engine.scheduler`: what is made of what they tell: the plugin that folds and performs.

All three share ``messages`` (what travels between them and the client), ``travel`` (how an exception gets
to the client as itself), and what makes a report of a failed attempt:
``reporting``, with ``describe`` for the call, ``heard`` for its warnings, and ``ends`` for what no exception
of its own tells of.
"""
