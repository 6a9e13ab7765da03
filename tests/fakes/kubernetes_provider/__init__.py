"""A stand-in for pulumi-kubernetes that the real engine drives against a real API server. README.md: what differs."""

from pathlib import Path

FOLDER = Path(__file__).parent
"""For `plugins.providers[].path` of a test project's Pulumi.yaml."""
