"""On a worker: the attempt at a task.

``witness`` (the worker plugin) puts an ``attempt`` in the task's place, which calls the task here, or
``apart`` in a process of its own; ``batches`` has many calls in one. ``recalling`` asks whether an earlier
run has made the call, ``usage`` what the attempt took. ``transfers`` sees results that do not arrive.
``blackbox`` is what a worker that dies leaves behind, and ``warden`` (the plugin of its nanny) the one that
reads it.
"""
