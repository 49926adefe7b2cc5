"""A trusted container registry on a developer's machine, from the `registry:` block of a gdk.yml."""

__version__ = "0.1.0"
