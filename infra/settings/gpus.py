"""The accelerators a stack file can name."""

GPU_TYPES = (
    "t4",
    "l4",
    "a10g",
    "l40s",
    "rtx-pro-6000",
    "a100-40",
    "a100-80",
    "h100",
    "h200",
    "b200",
    "b300",
    "inf2",
    "trn1",
)
"""By memory and price upwards, AWS's own chips last. `a100-40` and `a100-80` are the two sizes of A100."""
