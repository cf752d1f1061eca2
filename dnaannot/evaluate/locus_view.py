"""A locus drawn as in a genome browser: the prediction below the reference."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection

from dnaannot.dna.transcript import Strand, Transcript
from dnaannot.evaluate.gene_metrics import Feature, is_right
from dnaannot.evaluate.loci import Locus
from dnaannot.evaluate.svg import RIGHT, WRONG, box, line, picture, text

_WIDTH, _LABELS, _MARGIN = 1080, 216, 14
_ROW, _EXON, _AXIS = 24, 13, 30
_MOST_ROWS, _MOST_LETTERS = 8, 20


def draw_locus(
    locus: Locus,
    exons_of_both: Collection[Feature],
    models_of_both: Collection[Feature],
) -> str:
    """SVG of a locus: exons as boxes, introns as lines, chevrons along the strand.

    What both sides have is filled blue, what one side has alone is hollow vermillion; the
    name of a transcript whose whole CDS both sides have is ticked.

    Args:
        exons_of_both, models_of_both: features of the levels exon and transcript that the
            reference and the prediction share.
    """
    pad = max(20, (locus.end - locus.start) // 50)
    first, last = max(locus.start - pad, 0), locus.end + pad
    scale = (_WIDTH - _LABELS - _MARGIN) / (last - first)

    def place(base: float) -> float:
        return _LABELS + (base - first) * scale

    parts, y = _axis(first, last, scale), float(_AXIS)
    for side, transcripts in (("reference", locus.reference), ("prediction", locus.predicted)):
        parts.append(text(0, y + _EXON, side, kind="side"))
        for transcript in transcripts[:_MOST_ROWS]:
            parts += _draw_transcript(transcript, y, place, exons_of_both, models_of_both)
            y += _ROW
        if len(transcripts) > _MOST_ROWS:
            parts.append(text(_LABELS, y + _EXON, f"and {len(transcripts) - _MOST_ROWS} more"))
            y += _ROW
        if not transcripts:
            parts.append(text(_LABELS, y + _EXON, "nothing here", kind="small"))
            y += _ROW
        y += 5
    where = f"{locus.sequence}:{locus.start + 1}-{locus.end}"
    return picture(_WIDTH, y, parts, f"genes at {where}, {locus.verdict.value}")


def _axis(first: int, last: int, scale: float) -> list[str]:
    """Ticks at round coordinates, 1-based as in genome browsers."""
    rough = (last - first) / 7
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    parts = [line(_LABELS, 20, _WIDTH - _MARGIN, 20, "#b5bac2")]
    for base in range(-(-(first + 1) // step) * step, last + 1, step):
        x = _LABELS + (base - 0.5 - first) * scale
        parts.append(line(x, 16, x, 24, "#b5bac2"))
        parts.append(text(min(x, _WIDTH - 40), 11, f"{base:,}", "middle", "tick"))
    return parts


def _draw_transcript(
    transcript: Transcript,
    y: float,
    place: Callable[[float], float],
    exons_of_both: Collection[Feature],
    models_of_both: Collection[Feature],
) -> list[str]:
    middle = y + _EXON / 2 + 2
    whole = is_right([transcript], models_of_both)
    name = transcript.name or transcript.gene or "unnamed"
    label = name if len(name) <= _MOST_LETTERS else name[: _MOST_LETTERS - 1] + "…"
    parts = [text(_LABELS - 26, y + _EXON, label, "end", "name")]
    if whole:
        parts.append(text(_LABELS - 22, y + _EXON, "✓", kind="name"))
    for start, end in transcript.introns:
        parts.append(line(place(start), middle, place(end), middle, "#6b7280"))
        parts += _chevrons(place(start), place(end), middle, transcript.strand)
    for exon in transcript.exons:
        feature = Feature(transcript.sequence, transcript.strand, exon.start, exon.end)
        shared = feature in exons_of_both
        fill, stroke = (RIGHT, RIGHT) if shared else ("#fff", WRONG)
        title = f"{name}: exon {exon.start + 1:,}-{exon.end:,} ({exon.end - exon.start:,} bp)"
        width = max((place(exon.end) - place(exon.start)), 1.5)
        more = f'stroke="{stroke}" stroke-width="{1.0 if shared else 1.6}" rx="1.5"'
        parts.append(box(place(exon.start), y + 2, width, _EXON, fill, title, more))
    parts += _head(transcript, middle, place)
    return parts


def _chevrons(left: float, right: float, middle: float, strand: Strand) -> list[str]:
    tip = 3.0 if strand is Strand.PLUS else -3.0
    count = int((right - left) // 28)
    parts = []
    for index in range(count):
        x = left + (index + 0.5) * (right - left) / count
        points = f"{x - tip / 2:.1f},{middle - 3:.1f} {x + tip / 2:.1f},{middle:.1f} "
        points += f"{x - tip / 2:.1f},{middle + 3:.1f}"
        parts.append(f'<polyline points="{points}" fill="none" stroke="#6b7280"/>')
    return parts


def _head(transcript: Transcript, middle: float, place: Callable[[float], float]) -> list[str]:
    """An arrowhead behind the 3' end."""
    plus = transcript.strand is Strand.PLUS
    x = place(transcript.end if plus else transcript.start) + (3 if plus else -3)
    tip = x + (5 if plus else -5)
    points = f"{x:.1f},{middle - 4:.1f} {tip:.1f},{middle:.1f} {x:.1f},{middle + 4:.1f}"
    return [f'<polygon points="{points}" fill="#6b7280"/>']
