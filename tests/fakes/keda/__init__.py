"""KEDA's operator and metrics adapter, as far as tests of scaling need them (see README.md)."""

from tests.fakes.keda.keda import Keda
from tests.fakes.keda.signals import Script, ask_prometheus

__all__ = ["Keda", "Script", "ask_prometheus"]
