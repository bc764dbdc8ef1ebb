"""What every room speaks: status codes, errors, the registry, progress, array types.

Belongs here: vocabulary without mathematics, importing only torch and jaxtyping. A thing that computes belongs in a
room above.
"""
