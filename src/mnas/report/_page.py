"""The page of `mnas board` as one file: its scripts and styles inlined, the answers of its API embedded.

The very same files are served and inlined, so a report shows what the page shows, and there is one of each picture.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping

from mnas.report._files import page_files

_SCRIPT = re.compile(r'<script src="([\w.]+)"></script>')
_STYLE = re.compile(r'<link rel="stylesheet" href="([\w.]+)">')
_END_OF_SCRIPT = re.compile(r"</(script)", re.IGNORECASE)


def whole_page(answers: Mapping[str, str]) -> str:
    """The page with these answers: JSON texts by the path that the page asks for. It needs nothing from elsewhere.

    What it may run is fixed by hashes of its own scripts and styles, so that text of a run is never code.
    """
    files = {name: body.decode() for name, body in page_files().items() if name.endswith((".html", ".css", ".js"))}
    scripts: list[str] = []
    styles: list[str] = []

    def script(found: re.Match[str]) -> str:
        scripts.append(_END_OF_SCRIPT.sub(r"<\\/\1", files[found[1]]))
        return f"<script>{scripts[-1]}</script>"

    def style(found: re.Match[str]) -> str:
        styles.append(files[found[1]])
        return f"<style>{styles[-1]}</style>"

    head, body, rest = files["index.html"].partition("<body>")
    page = _STYLE.sub(style, _SCRIPT.sub(script, head)) + body
    before, first, after = rest.partition("<script ")
    page += before + _embedded(answers) + "\n" + _SCRIPT.sub(script, first + after)
    charset = '<meta charset="utf-8">'
    return page.replace(charset, f"{charset}\n{_policy(scripts, styles)}", 1)


def _embedded(answers: Mapping[str, str]) -> str:
    """The answers as a block of data that no HTML in them can end."""
    text = "{" + ",\n".join(f"{json.dumps(path)}:{answer}" for path, answer in answers.items()) + "}"
    for character in ("<", ">", "&", "\u2028", "\u2029"):  # in JSON they stand within strings alone
        text = text.replace(character, f"\\u{ord(character):04x}")
    return f'<script type="application/json" id="embedded">{text}</script>'


def _policy(scripts: list[str], styles: list[str]) -> str:
    policy = (
        f"default-src 'none'; script-src {_hashes(scripts)}; style-src {_hashes(styles)}; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    return f'<meta http-equiv="Content-Security-Policy" content="{policy}">'


def _hashes(texts: list[str]) -> str:
    digests = [hashlib.sha256(text.encode()).digest() for text in texts]
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
