"""Model store: versioned, checksummed weights in a folder. `python -m serving.store --help`."""

from serving.store.errors import StoreError
from serving.store.folder import Version, resolve, versions
from serving.store.kit import stage_kit
from serving.store.location import location
from serving.store.manifest import File, Manifest, verify
from serving.store.staging import stage

__all__ = [
    "File",
    "Manifest",
    "StoreError",
    "Version",
    "location",
    "resolve",
    "stage",
    "stage_kit",
    "verify",
    "versions",
]
