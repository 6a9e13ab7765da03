"""HTTPS at the gateway: a certificate that is read from files and read anew when they change."""

from copy import deepcopy
from pathlib import Path

from serving.gateway.envoy import Json, discovery, extension

CERTIFICATE = "certificate"
"""Name of the certificate among Envoy's secrets."""
HANDSHAKE_SECONDS = 10
"""From the connection's start to the end of the handshake; slower ones are closed."""


def secured(listener: Json, port: int, source: Path) -> Json:
    """A second listener like `listener` that speaks TLS on `port`; `source` is the file of `certificate`.

    It shares statistics, routes and limits with the first. A new certificate takes effect with the next connection
    and cuts none, as the listener itself stays.
    """
    made = deepcopy(listener)
    made["name"] = f"{listener['name']}-tls"
    made["address"]["socket_address"]["port_value"] = port
    for chain in made["filter_chains"]:
        chain["transport_socket"] = extension(
            "envoy.transport_sockets.tls",
            "transport_sockets.tls.v3.DownstreamTlsContext",
            common_tls_context=_tls(source),
        )
        chain["transport_socket_connect_timeout"] = f"{HANDSHAKE_SECONDS}s"
    return made


def certificate(folder: Path) -> Json:
    """The file that names the certificate: tls.crt and tls.key in `folder`, as Kubernetes mounts a TLS Secret.

    The folder is watched for renames, since Kubernetes swaps all its files at once by renaming a link beside them.
    """
    files = {
        "certificate_chain": {"filename": str(folder / "tls.crt")},
        "private_key": {"filename": str(folder / "tls.key")},
    }
    secret = {"name": CERTIFICATE, "tls_certificate": {**files, "watched_directory": {"path": str(folder)}}}
    return discovery("extensions.transport_sockets.tls.v3.Secret", [secret])


def _tls(source: Path) -> Json:
    config_source = {"path_config_source": {"path": str(source)}, "resource_api_version": "V3"}
    return {
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_certificate_sds_secret_configs": [{"name": CERTIFICATE, "sds_config": config_source}],
    }
