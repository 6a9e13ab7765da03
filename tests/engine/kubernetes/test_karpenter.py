"""The real Karpenter on the tests' cluster: one pool a GPU type, nodes bought for pending pods and no others.

That empty nodes go takes it 50 s, most of them its own waiting; pool tests that need it find it in the same place.
"""

from pathlib import Path

from tests.support.cluster import Cluster, Nodes, crds
from tests.support.cluster.karpenter import Karpenter, Offer, node_pool
from tests.support.cluster.nodes import GPU_RESOURCE
from tests.support.cluster.timeline import ready
from tests.support.cluster.workloads import SHARED_FILES, deployment, pod_spec
from tests.support.cluster_project import ClusterProject
from tests.support.served_stack import MODELS, SPACE, instances, pods


def test_pending_pods_bring_up_their_pools_type_up_to_its_limit(tmp_path: Path) -> None:
    system = (Nodes("m6i.4xlarge"),)
    offer = Offer(("g6.xlarge", "g6e.12xlarge", "p5.48xlarge"))
    with Cluster(tmp_path, system, crds.KARPENTER_PARTS) as cluster, Karpenter(cluster, offer):
        api, until = cluster.api, cluster.processes.wait
        for name, limit in (("g6", 2), ("g6e", 8), ("p5", 16)):
            types = [instance for instance in offer.instances if instance.startswith(f"{name}.")]
            api.apply(node_pool(name, types, GPU_RESOURCE, limit, {"pool": name}))

        def bought() -> list[str]:
            nodes = api.items("v1", "Node", labels="karpenter.sh/nodepool")
            return sorted(node["metadata"]["labels"]["node.kubernetes.io/instance-type"] for node in nodes)

        def all_ready(count: int) -> bool:
            pods = api.items("v1", "Pod", "default")
            return len(pods) == count and all(map(ready, pods))

        def said() -> list[str]:
            return [event["message"] for event in api.items("v1", "Event", "default")]

        api.create(deployment("small", "default", 2, pod_spec(1, {"pool": "g6"})))
        sharded = deployment("sharded", "default", 2, pod_spec(4, {"pool": "g6e"}))
        api.create(sharded)
        until("ready pods", lambda: all_ready(4))
        assert bought() == ["g6.xlarge", "g6.xlarge", "g6e.12xlarge", "g6e.12xlarge"]

        # A third node is beyond the pool's limit.
        api.apply({**sharded, "spec": {**sharded["spec"], "replicas": 3}}, force=True)
        until("the word of the limit", lambda: any("exceed limits for nodepool" in text for text in said()))
        assert len(bought()) == 4


def test_a_stack_buys_the_planned_types_and_gives_empty_nodes_back(tmp_path: Path) -> None:
    offer = Offer(("g6.xlarge", "g6.12xlarge", "g6e.12xlarge", "p5.48xlarge"))
    system = (Nodes("m6i.4xlarge"),)
    with Cluster(tmp_path / "cluster", system, crds.KARPENTER_PARTS) as cluster, Karpenter(cluster, offer):
        api, until = cluster.api, cluster.processes.wait
        api.create(SHARED_FILES)
        project = ClusterProject.make(tmp_path / "project", cluster.kubeconfig())
        bought = {"kind": "KWOKNodeClass", "group": "karpenter.kwok.sh", "empty": "2s"}
        pools = {
            "small": {"gpu": "l4", "nodes": 2, "karpenter": {**bought, "instances": ["g6.xlarge"]}},
            "large": {"gpu": "l40s", "gpus": 4, "nodes": 1, "karpenter": {**bought, "instances": ["g6e.12xlarge"]}},
        }
        project.write(MODELS, kubernetes={"namespace": SPACE, "nodes": pools, "storage_class": "files"})
        project.up()

        def nodes() -> list[str]:
            found = api.items("v1", "Node", labels="karpenter.sh/nodepool")
            return sorted(node["metadata"]["labels"]["node.kubernetes.io/instance-type"] for node in found)

        assert nodes() == ["g6.xlarge", "g6.xlarge", "g6e.12xlarge"]
        assert instances(api, pods(api, "chat")) == ["g6.xlarge", "g6.xlarge"]
        assert instances(api, pods(api, "large")) == ["g6e.12xlarge"]
        assert project.preview().operations() == {}

        project.edit("chat", replicas=1)
        project.up()
        until("the end of the empty node", lambda: nodes() == ["g6.xlarge", "g6e.12xlarge"], 300)
        project.destroy()
        until("no bought node", lambda: nodes() == [], 300)
