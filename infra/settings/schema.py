"""The JSON Schema of stack files, so that editors complete keys, explain them and mark mistakes."""

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from infra.settings.config import MOVED, PROVIDERS, PULUMI_KEYS
from infra.settings.docs import attribute_docs
from infra.settings.fields import keys_at, kind_at, section_at
from infra.settings.section import Section
from infra.settings.settings import KEYS, Settings

SCHEMA = "stacks/schema.json"
"""Where the schema is kept: stack files name it in their first line."""

Node = dict[str, Any]

_PULUMI = {
    "encryptionsalt": "Written by Pulumi: salt of the passphrase.",
    "secretsprovider": "Written by Pulumi: what encrypts the stack's secrets, such as awskms://alias/berth.",
    "encryptedkey": "Written by Pulumi: the key of the stack's secrets, encrypted by the secrets provider.",
}


def schema() -> Node:
    """The schema, for draft 7, which editors know best.

    No key is required: `defaults.yaml` may give it. It accepts every file that `load` accepts, and not only those:
    rules that look at several values are the loader's.
    """
    generated = Settings.model_json_schema(ref_template="#/definitions/{model}", schema_generator=_Generator)
    definitions = generated.pop("$defs")
    for section in _sections(Settings):
        _describe(section, generated if section is Settings else definitions[section.__name__])
    config: Node = {
        "description": "Settings of the stack, by config key.",
        "type": "object",
        "properties": {key: generated["properties"][name] for key, name in KEYS.items()},
        "patternProperties": {f"^(?!({'|'.join(MOVED)})$)({'|'.join(PROVIDERS)}):": {}},
        "additionalProperties": False,
    }
    top: Node = {"config": config, **{key: {"type": "string", "description": text} for key, text in _PULUMI.items()}}
    top |= {key: {"description": "Pulumi's own."} for key in PULUMI_KEYS if key not in top}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "berth stack file",
        "type": "object",
        "properties": top,
        "additionalProperties": False,
        "definitions": {name: definitions[name] for name in sorted(definitions)},
    }


class _Generator(GenerateJsonSchema):
    """Leaves defaults out: they are in the settings' units, and `_describe` writes them in the file's."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])


def schema_text() -> str:
    """The schema as it is kept in the tree."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _sections(root: type[Section]) -> list[type[Section]]:
    """A section and all sections below it."""
    found = [root]
    for section in found:
        for name in section.model_fields:
            # An entry of a mapping or a list stands below any key.
            for path in ((name,), (name, "*")):
                below = section_at(section, path)
                if below is not None and below not in found:
                    found.append(below)
    return found


def _describe(section: type[Section], node: Node) -> None:
    docs = attribute_docs(section)
    node.pop("required", None)
    node.pop("title", None)
    for name, field in section.model_fields.items():
        value = _without_null(node["properties"][name])
        shorthand = value.pop("shorthand", None)
        for key in ("title", "examples"):
            value.pop(key, None)
        keys = keys_at(section, (name,))
        if keys is not None:
            (item,) = value.pop("patternProperties", {"": value.get("additionalProperties")}).values()
            value |= {"propertyNames": keys.schema, "additionalProperties": item}
        if shorthand or "$ref" in value:
            value = {"anyOf": [shorthand, value]} if shorthand else {"allOf": [value]}
        kind = kind_at(section, (name,))
        if kind is not None and field.default is not None and not field.is_required() and not field.default_factory:
            default = field.default
            value["default"] = (
                default if type(default) in (int, bool) and value.get("type") != "string" else kind.write(default)
            )
        node["properties"][name] = {"description": docs[name], **value}


def _without_null(node: Node) -> Node:
    options = [option for option in node.pop("anyOf", []) if option != {"type": "null"}]
    if len(options) == 1:
        return {**options[0], **node}
    return {**node, "anyOf": options} if options else node
