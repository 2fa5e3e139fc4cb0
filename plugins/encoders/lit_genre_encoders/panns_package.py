"""The modules of the package panns_inference, without its `__init__`, which downloads a list of labels.

This module is a package whose folder is that of panns_inference, so that `lit_genre_encoders.panns_package.models` is
`panns_inference/models.py`. A process that unpickles a network finds it by that name, too.
"""

from importlib.util import find_spec

# Of a package, as opposed to a module in it, find_spec runs no code.
_spec = find_spec("panns_inference")
if _spec is None or _spec.submodule_search_locations is None:
    raise ModuleNotFoundError("No module named 'panns_inference'", name="panns_inference")

__path__ = list(_spec.submodule_search_locations)
