"""The one-word tasks of the Makefile."""
