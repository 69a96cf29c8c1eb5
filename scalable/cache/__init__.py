"""Remember the results of functions: ``@cacheable``.

Same call, same key, in every process, on every machine, in every run; other code, other key. What cannot
be keyed exactly is an error, never a wrong hit. What is damaged is computed again, never returned.
"""

from scalable.cache.decorator import cacheable
from scalable.cache.kinds import DirType, FileType, ObjectType, ValueType
from scalable.cache.runner import CacheWarning

__all__ = ["CacheWarning", "DirType", "FileType", "ObjectType", "ValueType", "cacheable"]
