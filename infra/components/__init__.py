"""Pulumi components, one noun a module."""
