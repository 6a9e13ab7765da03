"""What can go wrong in a model store."""


class StoreError(Exception):
    """A source that cannot be staged, or stored files that are not what their manifest says; with the way out."""


class RefusedError(StoreError):
    """What trying again cannot mend: the source or a setting must change."""
