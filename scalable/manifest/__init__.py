"""The manifest, ``scalable.yaml``: what it may say, and how it is read.

:func:`load` and :func:`from_mapping` give a :class:`Manifest` or raise one ``ManifestError`` with every
problem and its place. Reading is in steps, each a module: text to nodes with places (``reader``, ``nodes``),
nodes to typed values (``convert``, ``scalars``, ``units``, ``variables``), and what holds between them
(``checks``).
"""

from scalable.core.variables import expand
from scalable.manifest.load import from_mapping, load, loads
from scalable.manifest.model import Cache, Component, Escalate, Manifest, Project, Task, Telemetry
from scalable.manifest.policies import RetryModel
from scalable.manifest.problems import Problem
from scalable.manifest.schema import json_schema
from scalable.manifest.targets import Dask, Kubernetes, Local, Slurm, Target

__all__ = [
    "Cache",
    "Component",
    "Dask",
    "Escalate",
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
