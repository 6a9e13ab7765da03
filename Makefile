# One word a task. STACK names the stack file (stacks/Pulumi.$(STACK).yaml).
STACK ?= local
PYTHON ?= python3
RUN := .venv/bin/python -m
# Two files at a time. Not the drills, which compare latencies.
PYTEST := .venv/bin/pytest -n 2 --dist loadfile
# What tests/engine/kubernetes runs on besides the engine.
CONTROL_PLANE := etcd kube-apiserver kubectl kwok karpenter pulumi-language-yaml

.PHONY: up down preview settings plan outputs doctor render images check test test-kubernetes drain-proof bench

up preview down outputs doctor render: .venv
	@$(RUN) infra.tasks $@ $(STACK)

settings: .venv
	@$(RUN) infra.settings show $(STACK)

plan: .venv
	@$(RUN) infra.planning $(STACK)

# Builds the kit's own images, pushes them to REGISTRY (registry.example.com/team), and pins them in images/images.lock.
images: .venv
	$(if $(REGISTRY),,$(error say where to: make images REGISTRY=registry.example.com/team))
	@$(RUN) images build --registry $(REGISTRY)

# Lint, types and the quick tests that need nothing: under a minute.
check: .venv
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@$(PYTEST) tests/unit -m "not thorough"

# Everything, on the real parts.
test: check
	@$(RUN) infra.tasks prepare $(STACK)
	@$(PYTEST) tests/unit -m thorough
	@$(PYTEST) tests/program tests/monitoring
	@$(PYTEST) tests/engine tests/gateway --ignore tests/engine/kubernetes
	@.venv/bin/pytest tests/drills
	@$(MAKE) test-kubernetes

# The Kubernetes platform on a real control plane, which is built once (a quarter of an hour).
test-kubernetes: .venv
	@$(RUN) infra.toolchain ensure $(CONTROL_PLANE)
	@$(PYTEST) tests/engine/kubernetes

# Rolls servers and the gateway of a throw-away local stack under load, and counts the streams.
drain-proof: .venv
	@$(RUN) tests.drills.drain_proof

# The measurements behind README's figures; wants a quiet machine.
bench: .venv
	@$(RUN) tests.bench $(or $(SUBJECT),gateway all)

.PHONY: .venv
.venv:
	@$(PYTHON) infra/tasks/bootstrap.py
