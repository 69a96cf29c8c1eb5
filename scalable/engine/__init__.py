"""Between Dask and the pure core, in the order of a task's life.

``messages`` what travels with a task; ``witness`` (worker plugin) puts an ``attempt`` in the task's place;
``describe`` and ``travel`` turn an exception into words and into bytes; ``supervisor`` (scheduler plugin)
folds what happened and performs what the core decides, with ``holds`` for waiting tasks, ``losses`` for
workers that died and ``sessions`` for who is told.
"""
