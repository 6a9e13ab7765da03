"""Throw-away certificates, made with the openssl command that every machine with Python's ssl has beside it."""

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that vouches for itself."""

    chain: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """Of a server that shows it."""
        made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        made.load_cert_chain(self.chain, self.key)
        return made

    def files(self) -> dict[str, str]:
        """As a Secret of type kubernetes.io/tls has them."""
        return {"tls.crt": self.chain.read_text(), "tls.key": self.key.read_text()}


def certificate(folder: Path, *names: str) -> Certificate:
    """For DNS names, the first of which is its common name."""
    folder.mkdir(parents=True)
    made = Certificate(folder / "tls.crt", folder / "tls.key")
    alternatives = ",".join(f"DNS:{name}" for name in names)
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    extensions = ["-addext", f"subjectAltName={alternatives}", "-addext", "basicConstraints=critical,CA:TRUE"]
    files = ["-subj", f"/CN={names[0]}", "-keyout", str(made.key), "-out", str(made.chain)]
    subprocess.run(["openssl", "req", "-x509", *kind, *extensions, *files], check=True, capture_output=True)
    return made
