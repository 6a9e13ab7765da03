"""Where a checkout keeps its run-time files, and the environment in which `pulumi` runs there."""

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from infra import places, toolchain

ROOT = Path(__file__).resolve().parents[2]
PASSPHRASE_VARIABLES = ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")


@dataclass(frozen=True, slots=True)
class Session:
    """One checkout. `home` is its `.berth` folder: state, passphrase, one folder a local stack."""

    root: Path

    @property
    def home(self) -> Path:
        """Folder of everything that the kit writes into a checkout, `.venv` apart."""
        return places.home(self.root)

    @property
    def passphrase(self) -> Path:
        """File that encrypts the secrets in the local state; readable by its owner alone."""
        return self.home / "passphrase"

    def stack_dir(self, stack: str) -> Path:
        """Run-time files of a local stack."""
        return places.stack_dir(self.root, stack)

    def stack_file(self, stack: str) -> Path:
        """What the operator wrote."""
        return self.root / "stacks" / f"Pulumi.{stack}.yaml"

    def open(self) -> None:
        """Makes the folders, the passphrase (once) and `.berth/env`, which a shell can read."""
        (self.home / "state").mkdir(parents=True, exist_ok=True)
        places.write_secret_once(self.passphrase)
        lines = [_export(name, value) for name, value in sorted(self.own_environment().items())]
        (self.home / "env").write_text("# `. .berth/env`, then use `pulumi` as ever.\n" + "".join(lines))

    def own_environment(self) -> dict[str, str]:
        """The variables that the kit sets for `pulumi`; what the user has set already wins."""
        values = toolchain.engine_env()
        # The salt of the state's passphrase belongs to this machine, so it stays out of the stack files.
        values["PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER"] = "true"
        if not any(name in os.environ for name in PASSPHRASE_VARIABLES):
            values["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(self.passphrase)
        return values

    def environment(self) -> dict[str, str]:
        """The whole environment of a `pulumi` run."""
        return {**os.environ, **self.own_environment()}


def _export(name: str, value: str) -> str:
    inherited = os.environ.get(name)
    if inherited and value.endswith(inherited):
        own = shlex.quote(value.removesuffix(inherited))
        return f'export {name}={own}"${name}"\n'
    return f"export {name}={shlex.quote(value)}\n"
