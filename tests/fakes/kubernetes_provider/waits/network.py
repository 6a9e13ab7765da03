"""Service and Ingress: they lead somewhere."""

from tests.fakes.kubernetes_provider import objects
from tests.fakes.kubernetes_provider.waits.base import Wait
from tests.support.kubernetes_api import Client

NO_PODS = (
    "Service does not target any Pods. Selected Pods may not be ready, or field '.spec.selector' may not match labels "
    "on any Pods"
)


class ServiceWait(Wait):
    """A ready endpoint; an address where it is a load balancer.

    Headless, external and selector-less Services have no endpoints to wait for.
    """

    def done(self) -> bool:
        """Whether both are there."""
        return self._addressed() and (not self._selects() or has_endpoints(self.api, self.namespace, self.name))

    def problems(self) -> list[str]:
        """In the words of the real provider."""
        found = []
        if self._selects() and not has_endpoints(self.api, self.namespace, self.name):
            found.append(NO_PODS)
        if not self._addressed():
            found.append("Service was not allocated an IP address; does your cloud provider support this?")
        return found

    def _selects(self) -> bool:
        spec = self.item["spec"]
        return bool(spec.get("selector")) and spec.get("clusterIP") != "None" and spec.get("type") != "ExternalName"

    def _addressed(self) -> bool:
        if self.item["spec"].get("type") != "LoadBalancer":
            return True
        return bool(objects.at(self.item, "status", "loadBalancer", "ingress"))


class IngressWait(Wait):
    """An address, and a Service with endpoints behind every path."""

    def done(self) -> bool:
        """Whether both are there."""
        return self._addressed() and not self._leading_nowhere()

    def problems(self) -> list[str]:
        """In the words of the real provider."""
        found = [
            f'Ingress Service "{name}" has no endpoints: no matching Service with ready Pods was found'
            for name in self._leading_nowhere()
        ]
        if not self._addressed():
            found.append("Ingress .status.loadBalancer field was not updated with a hostname/IP address.")
        return found

    def _addressed(self) -> bool:
        return bool(objects.at(self.item, "status", "loadBalancer", "ingress"))

    def _leading_nowhere(self) -> list[str]:
        rules = self.item["spec"].get("rules", ())
        paths = [path for rule in rules for path in (objects.at(rule, "http", "paths") or ())]
        names = {str(objects.at(path, "backend", "service", "name")) for path in paths}
        return sorted(name for name in names if not self._leads(name))

    def _leads(self, service: str) -> bool:
        found = self.api.find("v1", "Service", service, self.namespace)
        if found is not None and found["spec"].get("type") == "ExternalName":
            return True
        return has_endpoints(self.api, self.namespace, service)


def has_endpoints(api: Client, namespace: str, service: str) -> bool:
    """Whether a Service has a ready endpoint."""
    slices = api.items("discovery.k8s.io/v1", "EndpointSlice", namespace, f"kubernetes.io/service-name={service}")
    return any(
        endpoint.get("conditions", {}).get("ready") for item in slices for endpoint in item.get("endpoints") or ()
    )
