"""Sizes of weights as they are stored: safetensors headers and indexes, without reading a tensor."""

import json
import struct
from pathlib import Path

from infra.planning.errors import ShapeError, problem

INDEX = "model.safetensors.index.json"
_LARGEST_HEADER = 100 * 2**20


def stored_bytes(folder: Path) -> int | None:
    """Return bytes of all tensors in a model folder: the index's total, else the sum over the headers, else None.

    Raises ShapeError for an index or a header that cannot be read.
    """
    index = folder / INDEX
    if index.is_file():
        return index_bytes(index.read_text(), str(index))
    files = sorted(folder.glob("*.safetensors"))
    return sum(_header_bytes(file) for file in files) if files else None


def index_bytes(text: str, place: str) -> int:
    """Return `metadata.total_size` of a safetensors index."""
    try:
        total = json.loads(text)["metadata"]["total_size"]
    except (ValueError, KeyError, TypeError) as error:
        raise ShapeError(
            [
                problem(
                    place, None, f"has no metadata.total_size ({error})", "fetch the index of the pinned revision again"
                )
            ]
        ) from error
    return int(total)


def _header_bytes(file: Path) -> int:
    # Format: 8 bytes little-endian header length, JSON header, tensor data (safetensors' own specification).
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            header = json.loads(stream.read(min(length, _LARGEST_HEADER)))
        ends = [int(tensor["data_offsets"][1]) for name, tensor in header.items() if name != "__metadata__"]
    except (ValueError, KeyError, struct.error) as error:
        raise ShapeError(
            [problem(str(file), None, f"is not a safetensors file ({error})", "stage the model again")]
        ) from error
    return max(ends, default=0)
