"""The manifest, ``scalable.yaml``: what it may say, and how it is read.

:func:`load` and :func:`from_mapping` give a :class:`Manifest` or raise one ``ManifestError`` with every
problem and its place. Reading is in steps, each a module: text to nodes with places (``reader``, ``nodes``),
nodes to typed values (``convert``, ``scalars``, ``units``, ``variables``), and what holds between them
(``checks``).
"""

from scalable.manifest.load import from_mapping, load, loads
from scalable.manifest.model import Cache, Component, Manifest, Project, Task, Telemetry
from scalable.manifest.policies import RetryModel
from scalable.manifest.problems import Problem
from scalable.manifest.schema import json_schema
from scalable.manifest.targets import Dask, Kubernetes, Local, Slurm, Target
from scalable.manifest.variables import expand

__all__ = [
    "Cache",
    "Component",
    "Dask",
    "Kubernetes",
    "Local",
    "Manifest",
    "Problem",
    "Project",
    "RetryModel",
    "Slurm",
    "Target",
    "Task",
    "Telemetry",
    "expand",
    "from_mapping",
    "json_schema",
    "load",
    "loads",
]
