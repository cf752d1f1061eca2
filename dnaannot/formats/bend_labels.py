"""The nine labels of BEND's gene finding, base by base: the HDF5 file beside its table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dnaannot.dna.nine_labels import NINE
from dnaannot.errors import DataError, InputFormatError
from dnaannot.formats.bend import BendRow
from dnaannot.formats.output import atomic_output, atomic_path

_GENE_FINDING = "Give gene_finding.hdf5 of BEND, which belongs to gene_finding.bed."
_HDF5 = (".hdf5", ".h5")


def labels_beside(path: str | Path) -> Path:
    """The HDF5 file that belongs to a table: of the same name, in the same folder.

    Raises:
        InputFormatError: there is none.
    """
    candidates = _beside(path)
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise InputFormatError(
        f"has no labels beside it ({candidates[0].name}).",
        path=path,
        remedy="Put BEND's HDF5 file of the same name into the same folder.",
    )


def _beside(path: str | Path) -> list[Path]:
    """Where the labels of a table may be, the usual place first."""
    table = Path(path)
    stem = table.name.removesuffix(".gz").removesuffix(".bed")
    return [table.with_name(stem + suffix) for suffix in _HDF5]


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


def write_bend(path: str | Path, rows: Sequence[BendRow], labels: Sequence[np.ndarray]) -> Path:
    """Write a gene-finding table and the HDF5 file beside it, which is returned.

    Args:
        labels: (end - start,) of each row.
    """
    h5py = _h5py()
    beside = _beside(path)[0]
    with atomic_path(beside) as temporary, h5py.File(temporary, "w") as file:
        dataset = file.create_dataset("labels", (len(rows),), h5py.vlen_dtype(np.uint8))
        for index, row_labels in enumerate(labels):
            dataset[index] = row_labels
    with atomic_output(path) as stream:
        stream.write("chromosome\tstart\tend\tstrand\tsplit\n")
        for row in rows:
            stream.write(f"{row.sequence}\t{row.start}\t{row.end}\t{row.strand}\t{row.split}\n")
    return beside
