"""The fitted numbers, read once from coefficients.yaml."""

import functools

from .specs import HERE, load_yaml

PATH = HERE / "coefficients.yaml"


@functools.cache
def coefficients():
    """What sizer/fit.py wrote: values in GiB where they are memory, with the provenance of each fit."""
    return load_yaml(PATH)
