"""Components for any Kubernetes cluster; each is usable alone."""
