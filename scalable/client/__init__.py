"""The client: Dask's own, with a ``submit``, ``map`` and ``gather`` that know policies and partial success.

``orders`` turns keywords into what travels with a task, ``reserved`` guards them against a function's own
parameters, ``partial`` gathers around failures, ``outcome`` is partial success as a value.
"""

from scalable.client.client import ScalableClient
from scalable.client.outcome import Outcome

__all__ = ["Outcome", "ScalableClient"]
