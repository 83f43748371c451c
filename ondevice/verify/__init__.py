"""Proof that an artifact computes what its checkpoint computes, and where it runs.

:data:`REFERENCES` names, by target, the interpreters that execute a format by its specification.
They serve where the format's own runtime does not exist, and time nothing.
"""

# Module names, so that asking whether there is one costs nothing.
REFERENCES: dict[str, str] = {"coreml": "ondevice.verify.mil.runner"}
