"""Components of the local platform."""
