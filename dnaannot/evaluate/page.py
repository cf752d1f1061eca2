"""What the HTML pages of evaluations share: one file each, readable offline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from dnaannot import __version__

_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", Arial,
    sans-serif;
  color: #1f2430; background: #fff; margin: 0 auto; padding: 28px 32px 48px; max-width: 1180px; }
h1 { font-size: 26px; margin: 0 0 2px; letter-spacing: -.01em; }
h2 { font-size: 18px; margin: 34px 0 10px; padding-top: 14px; border-top: 1px solid #e3e5e9; }
h3 { font-size: 14px; margin: 0 0 6px; font-weight: 600; }
p { margin: 4px 0 10px; max-width: 88ch; }
.quiet, .facts dt, .tile span { color: #5c6370; }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; margin: 12px 0; }
.facts dd { margin: 0; overflow-wrap: anywhere; }
.tiles { display: grid; grid-template-columns: repeat(4, 1fr); gap: 14px; margin: 18px 0; }
.tile { border: 1px solid #e3e5e9; border-radius: 8px; padding: 10px 16px 12px; }
.tile b { display: block; font-size: 30px; line-height: 1.2; font-weight: 600; }
.tile span { font-size: 13px; }
.note { border-left: 4px solid #e69f00; background: #fff8e8; padding: 8px 14px; margin: 8px 0; }
table { border-collapse: collapse; width: 100%; margin-bottom: 16px;
  font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 4px 10px; border-bottom: 1px solid #eceef1; }
th { font-weight: 600; color: #5c6370; font-size: 13px; }
th:first-child, td:first-child { text-align: left; }
.grid { display: grid; grid-template-columns: 1fr 1fr; gap: 22px 30px; }
.three { grid-template-columns: 1fr 1fr 1fr; } .three .span { grid-column: span 2; }
figure { margin: 0; break-inside: avoid; }
svg { width: 100%; height: auto; display: block; font-size: 12px; font-family: inherit; }
svg text { fill: #1f2430; }
svg .tick { fill: #5c6370; font-size: 11px; }
svg .small { fill: #7b828e; font-size: 10px; }
svg .value { font-size: 11px; font-weight: 600; }
svg .axis { fill: #5c6370; font-size: 11.5px; }
svg .name { font-size: 11px; }
svg .side { fill: #5c6370; font-size: 11px; }
.locus { border: 1px solid #e3e5e9; border-radius: 8px; padding: 8px 14px 4px; margin: 10px 0;
  break-inside: avoid; }
.locus h3 { display: flex; justify-content: space-between; gap: 12px;
  font-variant-numeric: tabular-nums; }
.verdict { font-weight: 600; font-size: 12px; padding: 1px 9px; border-radius: 10px;
  border: 1.5px solid #d55e00; color: #a34700; background: #fff; }
.verdict.right { border-color: #0072b2; background: #0072b2; color: #fff; }
.key { display: inline-block; width: 22px; height: 11px; border-radius: 2px; margin: 0 4px 0 10px;
  border: 1.6px solid #d55e00; background: #fff; vertical-align: -1px; }
.key.right { border-color: #0072b2; background: #0072b2; }
figure img { width: 100%; height: auto; display: block; }
.numbers, .words { overflow-x: auto; } .numbers table { width: auto; min-width: 45%; }
.many td, .many th { font-size: 12px; padding: 3px 6px; }
.words td, .words th { text-align: left; vertical-align: top; }
.words td:first-child { overflow-wrap: anywhere; min-width: 10em; }
.matrix td, .matrix th { font-size: 12px; padding: 3px 6px; }
.matrix td.same { font-weight: 600; }
details { margin: 12px 0; } summary { cursor: pointer; color: #0072b2; }
@media screen and (max-width: 760px) { .grid, .three { grid-template-columns: 1fr; }
  .three .span { grid-column: auto; }
  .tiles { grid-template-columns: 1fr 1fr; } }
@media print { body { padding: 0; max-width: none; font-size: 10pt; }
  h2, h2 + p, .key-line { break-after: avoid; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""


def page(
    title: str, heading: str, command: str, facts: Mapping[str, str], sections: Iterable[str]
) -> str:
    """A self-contained HTML page.

    Args:
        title: of the browser's tab.
        heading: at the top.
        command: of dnaannot that made it.
        facts: what was compared, in order.
        sections: HTML of the rest.
    """
    body = [
        f"<h1>{escape(heading)}</h1>",
        f'<p class="quiet">dnaannot {__version__}, {escape(command)}</p>',
        _facts(facts),
        *sections,
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _facts(facts: Mapping[str, str]) -> str:
    rows = (f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in facts.items())
    return f'<dl class="facts">{"".join(rows)}</dl>'


def note_box(note: str) -> str:
    """A warning to be read before the numbers."""
    return f'<p class="note">{escape(note)}</p>'


def tile_row(tiles: Iterable[tuple[str, str]]) -> str:
    """Boxes of (name, value) in large type."""
    cells = (
        f'<div class="tile"><span>{escape(name)}</span><b>{escape(value)}</b></div>'
        for name, value in tiles
    )
    return f'<div class="tiles">{"".join(cells)}</div>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; its first column is set left, the others right."""

    def row(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    body = "".join(row(cells, "td") for cells in rows)
    return f"<table><thead>{row(head, 'th')}</thead><tbody>{body}</tbody></table>"


def figure(title: str, chart: str) -> str:
    """A chart under its title."""
    return f"<figure><h3>{escape(title)}</h3>{chart}</figure>"
