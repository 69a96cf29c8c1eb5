"""On the scheduler: what is decided, and done.

``supervisor`` (the scheduler plugin) turns what Dask does into events, folds them, and performs what the core
decides; ``attempts`` handles what the witnesses tell. ``tracked`` is a task as it follows it, and the records
of it. By what they look after:

- waits: ``holds``, and ``parking`` with a ``line`` for each circuit; larger limits: ``moves``;
- limits: ``timers``, ``slots`` that are stuck, ``cordon`` around workers that get no more tasks;
- ends: ``settle``, ``upstream``, ``stops``, ``cancels``, ``unsent``; ``outcomes`` words those that no attempt
  could report;
- workers: ``fleet``, ``losses``, ``inquest`` into a death, ``repairs``, ``pins``;
- faults on purpose: ``injection``, and ``in_force`` for the plans of a session;
- what there is to see: ``page`` for browsers, ``metrics``, which ``prometheus`` shows;
- others: ``sessions`` is who is told, ``service`` what clients may ask, ``logs`` what tasks printed.
"""
