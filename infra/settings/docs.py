"""The texts that stand below the fields of a section, for editors."""

import ast
import inspect
import textwrap

from infra.settings.section import Section


def attribute_docs(section: type[Section]) -> dict[str, str]:
    """What stands below each field, on one line. Read from the source, so that loading settings need not pay for it."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(section))).body
    docs: dict[str, str] = {}
    name = None
    for node in body.body if isinstance(body, ast.ClassDef) else ():
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
        elif name and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            docs[name] = " ".join(str(node.value.value).split())
            name = None
        else:
            name = None
    return docs
