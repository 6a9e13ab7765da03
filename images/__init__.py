"""Images: build files of the kit's own, and the lock that pins every image by its digest."""

from images.lock import ImageError, image, lacking

__all__ = ["ImageError", "image", "lacking"]
