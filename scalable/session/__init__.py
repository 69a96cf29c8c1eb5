"""One run of work: ``session`` is what users hold, ``link`` its live part.

``endings`` sees to it that a process closes its sessions, however it ends; ``host`` is what the machine that
plans has to offer.
"""

from scalable.session.session import ScalableSession

__all__ = ["ScalableSession"]
