"""A run as one page for a browser: ``scalable report --html FILE``.

``data`` reads the run into what the page shows (``choose`` says which tasks, ``tasks``, ``attempts``,
``tallies`` and ``texts`` gather), ``page`` puts it together with the markup, the styles and the scripts
beside it, and ``write`` brings it to disk. The page asks nothing of any network, runs no script but its
own, and shows whatever a task may have said as plain text. All of it is ASCII.
"""
