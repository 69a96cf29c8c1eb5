"""Many calls of one function over the axes of its inputs, and flows of steps.

Works through a client it is given.
"""
