"""Between Dask and the pure core, in the order of a task's life.

On the worker: ``messages`` is what travels with a task; ``witness`` (worker plugin) puts an ``attempt`` in
the task's place, which calls the task here, or ``apart``; ``reporting`` describes what went wrong, with
``describe`` for the call and ``travel`` for the exception; ``heard`` listens for warnings.

In a process of its own, with ``isolate=True``: ``isolation`` and ``keeping`` on the worker; ``keeper``,
``ward``, ``warm`` and ``trial`` in the process that forks; ``child`` in the fork; ``wire`` between them;
``output``, ``memory`` and ``ends`` for what it printed, used and died of.

On the scheduler: ``supervisor`` (scheduler plugin) turns what Dask does into events, folds them and
performs what the core decides. ``tracked`` is a task as it follows it, and the records of it. Waiting:
``holds``, ``parking`` (a ``line`` for each circuit). Limits: ``timers``, ``slots``, ``cordon``. Ends:
``settle``, ``upstream``, ``stops``, ``unsent``, and ``outcomes`` words failures that no attempt could report.
Larger limits: ``moves``. Workers: ``fleet``, ``losses``, ``inquest``, ``repairs``, and ``warden`` on their
nannies. Others: ``sessions`` is who is told, ``service`` what clients may ask, ``logs`` what tasks printed.
"""
