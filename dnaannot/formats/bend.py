"""BEND's own files (Marin et al. 2024): a BED table, its labels in a column or in an HDF5 file.

The table is tab-separated under a line of column names; coordinates are 0-based, half-open.
The first three columns are sequence, start and end, the last is the split (train, valid,
test). Tasks on whole sequences have a column `label` with the numbers of the labels that hold,
joined by commas, and a column `strand`: a sequence on the minus strand is read as its reverse
complement. Gene finding has neither: its labels are dataset `labels` of the HDF5 file of the
same name, one array for each row in the same order, base by base along the plus strand.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dnaannot.dna.names import listed
from dnaannot.dna.nine_labels import NINE, SpliceSupport, splice_support
from dnaannot.dna.sequence import reverse_complement
from dnaannot.errors import DataError, InputFormatError
from dnaannot.formats.fasta import read_fasta
from dnaannot.formats.output import atomic_output, atomic_path
from dnaannot.formats.source import display_name, read_lines

SPLITS = ("train", "valid", "test")
LEAST_SPLICE_SHARE = 0.8
"""Below this share of splice labels on splice sites, labels and genome do not belong together."""
_FEW_SITES = 20
_GENE_FINDING = "Give gene_finding.hdf5 of BEND, which belongs to gene_finding.bed."
_STRAND_COLUMN, _LABEL_COLUMN = 3, 6  # where a table without these names has them
_HDF5 = (".hdf5", ".h5")


class BendRow(NamedTuple):
    """One sample.

    Attributes:
        sequence: name of its chromosome.
        start, end: 0-based, half-open.
        split: "train", "valid" or "test", or what else the file says.
        strand: "+" or "-"; gene finding reads every sample from the plus strand.
        labels: numbers of the labels that hold for the whole sequence; None where the table
            has no column of labels.
        line: 1-based line of the table.
    """

    sequence: str
    start: int
    end: int
    split: str
    strand: str = "+"
    labels: tuple[int, ...] | None = None
    line: int = 0


class _Columns(NamedTuple):
    """Where a table has what; None for what it lacks."""

    width: int
    split: int
    strand: int | None
    label: int | None


# --- the table ------------------------------------------------------------------------------


def read_bend(path: str | Path) -> list[BendRow]:
    """Rows of a BEND table, in its order.

    Raises:
        InputFormatError: the file is missing, empty or no such table; a row has other columns
            than the first line, coordinates that are no stretch, a strand other than + and -,
            or labels that are no numbers.
    """
    rows: list[BendRow] = []
    columns: _Columns | None = None
    for line, text in read_lines(path):
        cells = text.rstrip("\r\n").split("\t")
        if not text.strip() or text.startswith("#"):
            continue
        if columns is None:
            named = len(cells) > 1 and not cells[1].strip().isdigit()
            columns = _columns([cell.strip().lower() for cell in cells], named, path, line)
            if named:
                continue
        rows.append(_row([cell.strip() for cell in cells], columns, path, line))
    if not rows:
        raise _error(path, None, "The table has no rows.")
    return rows


def _columns(cells: list[str], named: bool, path: str | Path, line: int) -> _Columns:
    count = len(cells)
    if count < 4:
        raise _error(path, line, f"The table has {count} columns, not four or more.")
    if named:
        by_name = {name: index for index, name in enumerate(cells)}
        return _Columns(
            count, by_name.get("split", count - 1), by_name.get("strand"), by_name.get("label")
        )
    strand = _STRAND_COLUMN if cells[_STRAND_COLUMN] in ("+", "-") else None
    label = _LABEL_COLUMN if count > _LABEL_COLUMN + 1 else None
    return _Columns(count, count - 1, strand, label)


def _row(cells: list[str], columns: _Columns, path: str | Path, line: int) -> BendRow:
    if len(cells) != columns.width:
        raise _error(path, line, f"The row has {len(cells)} columns, not {columns.width}.")
    start, end = (_integer(cell) for cell in cells[1:3])
    if start is None or end is None:
        raise _error(path, line, f"Start '{cells[1]}' and end '{cells[2]}' are not both integers.")
    if not 0 <= start < end:
        raise _error(path, line, f"From {start} to {end} is no stretch of a sequence.")
    strand = "+" if columns.strand is None else cells[columns.strand]
    if strand not in ("+", "-"):
        raise _error(path, line, f"The strand is '{strand}', not '+' or '-'.")
    labels = None if columns.label is None else _labels(cells[columns.label], path, line)
    return BendRow(cells[0], start, end, cells[columns.split], strand, labels, line)


def _integer(cell: str) -> int | None:
    """What a cell says, also as pandas writes integers beside missing values: 17.0."""
    try:
        number = float(cell)
    except ValueError:
        return None
    return int(number) if number.is_integer() else None


def _labels(cell: str, path: str | Path, line: int) -> tuple[int, ...]:
    """Labels of a cell; an empty one or NaN, as pandas writes it, holds none."""
    if cell.lower() in ("", "nan", "."):
        return ()
    parts = cell.strip('"').split(",")
    if not all(part.strip().isdigit() for part in parts):
        raise _error(path, line, f"The label '{cell}' is no list of numbers joined by commas.")
    return tuple(int(part) for part in parts)


def _error(path: str | Path, line: int | None, problem: str) -> InputFormatError:
    return InputFormatError(
        problem,
        path=display_name(path),
        line=line,
        remedy="A BEND table has columns chromosome, start, end, ..., split, separated by tabs.",
    )


def multi_hot(rows: Sequence[BendRow], n_labels: int | None = None) -> np.ndarray:
    """(R, K) uint8: whether label k holds for row r.

    Args:
        n_labels: K; one more than the highest label by default.

    Raises:
        DataError: a row has no labels at all in its table, or one past K.
    """
    highest = max((label for row in rows for label in row.labels or ()), default=-1)
    n_labels = highest + 1 if n_labels is None else n_labels
    if highest >= n_labels:
        raise DataError(f"label {highest} is past the {n_labels} labels of this task.")
    matrix = np.zeros((len(rows), n_labels), np.uint8)
    for index, row in enumerate(rows):
        if row.labels is None:
            raise DataError("the table has no column 'label'.", remedy="Give its HDF5 file.")
        matrix[index, list(row.labels)] = 1
    return matrix


# --- labels base by base --------------------------------------------------------------------


def labels_beside(path: str | Path) -> Path:
    """The HDF5 file that belongs to a table: of the same name, in the same folder.

    Raises:
        InputFormatError: there is none.
    """
    table = Path(path)
    stem = table.name.removesuffix(".gz").removesuffix(".bed")
    for suffix in _HDF5:
        candidate = table.with_name(stem + suffix)
        if candidate.is_file():
            return candidate
    raise InputFormatError(
        f"has no labels beside it ({stem}.hdf5).",
        path=path,
        remedy="Put BEND's HDF5 file of the same name into the same folder.",
    )


def read_bend_labels(path: str | Path, rows: Sequence[BendRow]) -> list[np.ndarray]:
    """Nine labels (end - start,) uint8 of each row, from dataset `labels` of an HDF5 file.

    An array longer than its row must be padded: with one and the same value, behind the labels.

    Raises:
        InputFormatError: the file is no HDF5 or has no such dataset; it has more or fewer
            arrays than there are rows; an array does not fit its row or holds other labels.
        DataError: h5py is not installed.
    """
    h5py = _h5py()
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise InputFormatError(
            f"is no HDF5 file ({error}).", path=path, remedy=_GENE_FINDING
        ) from None
    with file:
        if "labels" not in file:
            raise InputFormatError("has no dataset 'labels'.", path=path, remedy=_GENE_FINDING)
        dataset = file["labels"]
        if len(dataset) != len(rows):
            raise InputFormatError(
                f"holds labels of {len(dataset):,} samples, the table has {len(rows):,} rows.",
                path=path,
                remedy="Both files must be of the same release, unsorted and whole.",
            )
        return [
            _fitted(np.asarray(dataset[index]), row, index, path) for index, row in enumerate(rows)
        ]


def _fitted(labels: np.ndarray, row: BendRow, index: int, path: str | Path) -> np.ndarray:
    length = row.end - row.start
    place = f"record {index} ({row.sequence}:{row.start}-{row.end}, line {row.line} of the table)"
    labels, padding = labels.ravel()[:length], labels.ravel()[length:]
    if len(labels) < length or (len(padding) and (padding != padding[0]).any()):
        raise InputFormatError(
            f"{place} has {len(labels) + len(padding):,} labels for {length:,} bases.",
            path=path,
            remedy="The rows of both files must be in the same order.",
        )
    if not np.isin(labels, np.arange(NINE)).all():
        raise InputFormatError(
            f"{place} holds labels other than 0 to 8.", path=path, remedy=_GENE_FINDING
        )
    return labels.astype(np.uint8)


def _h5py() -> Any:
    try:
        import h5py
    except ImportError:
        raise DataError(
            "reading BEND's labels needs h5py.", remedy="pip install 'dnaannot[bend]'"
        ) from None
    return h5py


# --- the genome -----------------------------------------------------------------------------


def read_bend_sequences(
    genomes: Sequence[str | Path], rows: Sequence[BendRow], by_strand: bool
) -> list[np.ndarray]:
    """Codes (end - start,) uint8 of each row.

    Chromosomes may be called with or without "chr" in either file.

    Args:
        genomes: FASTA files of the assembly that the rows were made on.
        by_strand: reverse-complement rows on the minus strand, as tasks on whole sequences do;
            gene finding does not.

    Raises:
        DataError: the genome lacks a chromosome, or a row lies beyond the end of one.
    """
    wanted: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        wanted.setdefault(_bare(row.sequence), []).append(index)
    found: dict[int, np.ndarray] = {}
    names: list[str] = []
    for genome, record in ((path, record) for path in genomes for record in read_fasta(path)):
        names.append(record.name)
        for index in wanted.pop(_bare(record.name), ()):
            found[index] = _cut(record.codes, rows[index], by_strand, genome)
        if not wanted:
            break
    if wanted:
        missing = rows[next(iter(wanted.values()))[0]]
        raise DataError(
            f"no sequence '{missing.sequence}', which line {missing.line} of the table names; "
            f"there is {listed(names)}.",
            path=", ".join(str(path) for path in genomes),
            remedy="Give the whole genome that the table was made on.",
        )
    return [found[index] for index in range(len(rows))]


def _bare(name: str) -> str:
    return name.removeprefix("chr")


def _cut(codes: np.ndarray, row: BendRow, by_strand: bool, genome: str | Path) -> np.ndarray:
    if row.end > len(codes):
        raise DataError(
            f"'{row.sequence}' has {len(codes):,} bases; line {row.line} of the table ends at "
            f"{row.end:,}.",
            path=genome,
            remedy=_ASSEMBLIES,
        )
    piece = codes[row.start : row.end]
    return reverse_complement(piece) if by_strand and row.strand == "-" else piece.copy()


_ASSEMBLIES = (
    "BEND's gene finding, histone and methylation tables are on GRCh38 (hg38), its chromatin "
    "accessibility on GRCh37 (hg19): give that genome."
)


def check_assembly(
    labels: Iterable[np.ndarray], sequences: Iterable[np.ndarray], genome: str | Path
) -> SpliceSupport:
    """Make sure that splice labels lie on splice sites; returns how many do.

    Raises:
        DataError: most do not, so the genome is of another assembly, or coordinates are shifted.
    """
    pairs = list(zip(labels, sequences, strict=True))
    support = _total(pairs, 0)
    if support.sites < _FEW_SITES or support.share >= LEAST_SPLICE_SHARE:
        return support
    problem = (
        f"only {support.fitting:,} of {support.sites:,} splice labels lie on GT, GC or AG "
        f"({support.share:.0%})"
    )
    for shift in (1, -1):
        if _total(pairs, shift).share >= LEAST_SPLICE_SHARE:
            side = "right" if shift > 0 else "left"
            raise DataError(
                f"{problem}, but they would if they lay one base further to the {side}.",
                path=genome,
                remedy="The table's start must count from 0.",
            )
    raise DataError(f"{problem}: labels and genome differ.", path=genome, remedy=_ASSEMBLIES)


def _total(pairs: Sequence[tuple[np.ndarray, np.ndarray]], shift: int) -> SpliceSupport:
    each = [splice_support(labels, codes, shift) for labels, codes in pairs]
    return SpliceSupport(sum(s.sites for s in each), sum(s.fitting for s in each))


# --- writing --------------------------------------------------------------------------------


def write_bend(path: str | Path, rows: Sequence[BendRow], labels: Sequence[np.ndarray]) -> Path:
    """Write a gene-finding table and the HDF5 file beside it, which is returned.

    Args:
        labels: (end - start,) of each row.
    """
    h5py = _h5py()
    beside = Path(path).with_suffix(".hdf5")
    with atomic_path(beside) as temporary, h5py.File(temporary, "w") as file:
        dataset = file.create_dataset("labels", (len(rows),), h5py.vlen_dtype(np.uint8))
        for index, row_labels in enumerate(labels):
            dataset[index] = row_labels
    with atomic_output(path) as stream:
        stream.write("chromosome\tstart\tend\tstrand\tsplit\n")
        for row in rows:
            stream.write(f"{row.sequence}\t{row.start}\t{row.end}\t{row.strand}\t{row.split}\n")
    return beside
