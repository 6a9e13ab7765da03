"""The platforms that a stack file can name."""
