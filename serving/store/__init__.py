"""Model store: versioned, checksummed weights in a folder. `python -m serving.store --help`."""

from serving.store.errors import RefusedError, StoreError
from serving.store.folder import Version, resolve, versions
from serving.store.kit import stage_kit
from serving.store.location import location
from serving.store.manifest import File, Manifest, verify
from serving.store.plain.staging import stage_source
from serving.store.staging import stage
from serving.store.verifying import verify_folder

__all__ = [
    "File",
    "Manifest",
    "RefusedError",
    "StoreError",
    "Version",
    "location",
    "resolve",
    "stage",
    "stage_kit",
    "stage_source",
    "verify",
    "verify_folder",
    "versions",
]
