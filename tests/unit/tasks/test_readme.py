"""README's figures are those of the golden files; what it runs is tested in tests/engine/test_fresh_clone.py."""

from infra.tasks.session import ROOT

README = (ROOT / "README.md").read_text()


def test_the_plan_in_readme_is_the_plan_of_prod() -> None:
    block = README.split("begins like this:\n\n```\n")[1].split("```")[0]
    golden = (ROOT / "tests/unit/planning/golden/prod.txt").read_text()
    assert golden.startswith(block.rstrip("\n"))


def test_no_path_of_a_machine_and_no_registry_is_named() -> None:
    for word in ("/root", "/home/", "/work", "pypi.org", "crates.io", "proxy.golang.org"):
        assert word not in README
