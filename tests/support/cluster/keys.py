"""Keys and certificates of one cluster, made by the `openssl` command."""

import subprocess
from pathlib import Path

_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30")
_NAMES = "subjectAltName=IP:127.0.0.1,IP:10.96.0.1,DNS:localhost,DNS:kubernetes.default.svc"


class OpensslError(RuntimeError):
    """`openssl` is missing or refused; the message says which."""


def make(folder: Path) -> None:
    """Writes ca, front-ca, api, front-proxy (.crt and .key) and service-accounts (.key and .pub)."""
    # Two authorities: the API server refuses one for both clients and the front proxy of aggregated APIs.
    _authority(folder, "ca")
    _authority(folder, "front-ca")
    _certificate(folder, "api", "ca", "serverAuth", _NAMES)
    _certificate(folder, "front-proxy", "front-ca", "clientAuth")
    key = folder / "service-accounts.key"
    _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(key))
    _openssl("ec", "-in", str(key), "-pubout", "-out", str(folder / "service-accounts.pub"))


def serving(folder: Path, name: str, host: str) -> None:
    """Writes <name>.crt and .key of a server that the API server finds by `host`, signed by ca."""
    _certificate(folder, name, "ca", "serverAuth", f"subjectAltName=DNS:{host}")


def _authority(folder: Path, name: str) -> None:
    usage = "keyUsage=critical,keyCertSign,cRLSign,digitalSignature"
    _openssl("req", "-x509", *_NEW_KEY, "-subj", f"/CN=test-{name}", *_files(folder, name), "-addext", usage)


def _certificate(folder: Path, name: str, authority: str, usage: str, *extensions: str) -> None:
    signed_by = ("-CA", str(folder / f"{authority}.crt"), "-CAkey", str(folder / f"{authority}.key"))
    added = ("basicConstraints=critical,CA:false", f"extendedKeyUsage={usage}", *extensions)
    options = [option for extension in added for option in ("-addext", extension)]
    _openssl("req", "-x509", *_NEW_KEY, *signed_by, "-subj", f"/CN={name}", *_files(folder, name), *options)


def _files(folder: Path, name: str) -> tuple[str, ...]:
    return ("-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.crt"))


def _openssl(*arguments: str) -> None:
    try:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise OpensslError("`openssl` is not on PATH; install openssl 3") from error
    except subprocess.CalledProcessError as error:
        raise OpensslError(f"openssl {' '.join(arguments[:1])}: {error.stderr.strip()}") from error
