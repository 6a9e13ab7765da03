"""Started by pulumi-resource-kubernetes: this folder as a script, with the engine's address as the last argument."""

import os
import sys
from pathlib import Path

# As a script it sees this folder, and needs the checkout.
sys.path[0] = str(Path(__file__).resolve().parents[3])
# gRPC need not prepare for forks: this process makes none.
os.environ.update(GRPC_ENABLE_FORK_SUPPORT="0", GRPC_VERBOSITY="NONE")

from tests.fakes.kubernetes_provider.server import serve  # noqa: E402

sys.exit(serve(sys.argv[1:]))
