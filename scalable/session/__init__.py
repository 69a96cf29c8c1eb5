"""One run of work: ``session`` is what users hold, ``link`` its live part.

``resuming`` finds the run that it goes on from, ``remote`` lets other processes reach it. ``endings`` sees to
it that a process closes its sessions, however it ends; ``host`` is what the machine that plans has to offer.
"""

from scalable.session.session import ScalableSession

__all__ = ["ScalableSession"]
