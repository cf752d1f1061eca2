"""Column 9 of GFF3 and GTF, in and out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal
from urllib.parse import unquote

Dialect = Literal["gff3", "gtf"]

Attributes = Mapping[str, str | tuple[str, ...]]
"""Values by key; a tuple is several values, joined by commas in GFF3."""

_GTF_ATTRIBUTE = re.compile(r'([^\s;"=]+)\s+(?:"([^"]*)"|([^\s;"]+))')
_ESCAPES = {code: f"%{code:02X}" for code in (*range(32), 127, *b"%;=&,")}
_GTF_ESCAPES = {**dict.fromkeys((*range(32), 127), " "), ord('"'): "'"}


def parse_attributes(text: str) -> dict[str, str]:
    """Attributes of column 9 in GFF3 or GTF, or {'ID': text} where it is a bare identifier."""
    text = text.strip()
    if is_gtf(text):
        return {key: quoted or bare for key, quoted, bare in _GTF_ATTRIBUTE.findall(text)}
    if "=" not in text:
        return {"ID": text} if text and text != "." and " " not in text else {}
    pairs = (item.split("=", 1) for item in text.split(";") if "=" in item)
    attributes = {key.strip(): value.strip() for key, value in pairs}
    if "%" not in text:
        return attributes
    return {unquote(key): unquote(value) for key, value in attributes.items()}


def is_gtf(text: str) -> bool:
    """Whether column 9 begins with a key, a blank and a value rather than with key=value."""
    blank, equals = text.find(" "), text.find("=")
    return blank > 0 and (equals < 0 or blank < equals) and ";" not in text[:blank]


def format_attributes(dialect: Dialect, attributes: Attributes) -> str:
    """Column 9 of `attributes`."""
    return _gff3_attributes(attributes) if dialect == "gff3" else _gtf_attributes(attributes)


def _gff3_attributes(attributes: Attributes) -> str:
    return ";".join(
        f"{key.translate(_ESCAPES)}={','.join(part.translate(_ESCAPES) for part in _values(value))}"
        for key, value in attributes.items()
    )


def _gtf_attributes(attributes: Attributes) -> str:
    return " ".join(
        f'{key} "{",".join(_values(value)).translate(_GTF_ESCAPES)}";'
        for key, value in attributes.items()
    )


def _values(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value
