"""The page of the API: its OpenAPI description as one table.

FastAPI's own page gets its scripts from another host.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any


def docs_page(description: Mapping[str, Any]) -> str:
    """What can be asked, and what comes."""
    rows = "".join(_row(path, methods["get"]) for path, methods in description["paths"].items() if "get" in methods)
    schemas = description.get("components", {}).get("schemas", {})
    answers = "".join(_schema(name, schema) for name, schema in schemas.items() if "properties" in schema)
    title = escape(f"{description['info']['title']} {description['info']['version']}")
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>mnas board: API</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="stylesheet" href="/page.css"></head><body><main><h1>{title}</h1>'
        '<p>Everything is read with GET. As a file: <a href="/openapi.json">openapi.json</a></p>'
        "<table><thead><tr><th>path</th><th>gives</th><th>with</th><th>as</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>{answers}</main></body></html>"
    )


def _row(path: str, asked: Mapping[str, Any]) -> str:
    names = ", ".join(parameter["name"] for parameter in asked.get("parameters", ()))
    content = asked["responses"]["200"].get("content", {})
    kinds = ", ".join(_type(answer.get("schema", {})) or kind for kind, answer in content.items())
    cells = (f"<code>{escape(path)}</code>", escape(asked.get("description", "")), escape(names), escape(kinds))
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _schema(name: str, schema: Mapping[str, Any]) -> str:
    fields = "".join(
        f"<tr><td><code>{escape(field)}</code></td><td>{escape(_type(kind))}</td></tr>"
        for field, kind in schema["properties"].items()
    )
    heading = f'<h2 id="{escape(name)}">{escape(name)}</h2><p>{escape(schema.get("description", ""))}</p>'
    return f"{heading}<table><tbody>{fields}</tbody></table>"


def _type(schema: Mapping[str, Any]) -> str:
    """A JSON schema in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return str(schema.get("type", ""))
