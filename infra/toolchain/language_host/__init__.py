"""A Python language host for an engine that was built from source and so comes without one.

Executables in this folder, found by the engine on PATH: `pulumi-language-python` (programs, policy packs, plugins),
`pulumi-resource-pulumi-python` (dynamic providers), `pulumi-analyzer-policy-python` (policy packs, the older way).
"""
