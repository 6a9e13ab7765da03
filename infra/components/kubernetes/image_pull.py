"""Who pulls a pod's images."""

from typing import Any


def image_pull(secret: str | None) -> dict[str, Any]:
    """Fields of a pod's spec, by the name of the Secret with the registry's credentials; none: the node's own.

    They are the pod's and not its account's: another name then makes other pods, where one of an account would leave
    those that cannot pull as they are.
    """
    return {"imagePullSecrets": [{"name": secret}]} if secret else {}
