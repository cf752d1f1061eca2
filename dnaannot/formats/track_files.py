"""Values of tracks as files: bigWig, bedGraph, TSV or NumPy arrays."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple, get_args

import numpy as np

from dnaannot.errors import OutputError
from dnaannot.formats.bigwig import BigWigFile, open_bigwig
from dnaannot.formats.output import atomic_output, atomic_path, output_error

TrackFormat = Literal["bigwig", "bedgraph", "tsv", "npz"]
TRACK_FORMATS: tuple[TrackFormat, ...] = get_args(TrackFormat)
_ONE_FILE_EACH = {"bigwig": ".bw", "bedgraph": ".bedgraph.gz"}
_ALL_IN_ONE = {"tsv": ".tsv.gz", "npz": ".npz"}
_DESCRIPTORS = {"bigwig": 2, "bedgraph": 1, "tsv": 1, "npz": 4}  # a file
_OTHER_DESCRIPTORS = 128

Add = Callable[[str, np.ndarray, np.ndarray, np.ndarray], None]
"""Called with (sequence, starts (n,), ends (n,), values (n, K)) in the order of the genome."""


class Track(NamedTuple):
    """What a track is; its files are named after it.

    Attributes:
        task, label, model: see `file_names`.
        unit: "probability", "percent" or "signal".
    """

    task: str
    label: str
    model: str
    unit: str


def file_names(tracks: Sequence[Track], form: TrackFormat) -> list[str]:
    """The file of each track: its own (TASK.LABEL.MODEL), or one of all (TASK.MODEL).

    Labels that differ only in what a file's name cannot hold are numbered.
    """
    if form in _ONE_FILE_EACH:
        stems = numbered((safe_name(each.task, each.label, each.model) for each in tracks), ".")
        return [stem + _ONE_FILE_EACH[form] for stem in stems]
    tasks = sorted({track.task for track in tracks})
    name = safe_name(tasks[0] if len(tasks) == 1 else "tracks", tracks[0].model)
    return [name + _ALL_IN_ONE[form]] * len(tracks)


def numbered(names: Iterable[str], mark: str) -> list[str]:
    """The names, with a mark and a number where they are taken already: `a`, `a.2`, `a.3`."""
    found: dict[str, None] = {}
    for name in names:
        free, number = name, 1
        while free in found:
            number += 1
            free = f"{name}{mark}{number}"
        found[free] = None
    return list(found)


def safe_name(*parts: str) -> str:
    """Parts of a file's name, joined by dots, whatever they hold."""
    return ".".join(re.sub(r"[^\w+-]+", "_", part) for part in parts)


@contextlib.contextmanager
def track_files(
    folder: Path, tracks: Sequence[Track], sizes: Mapping[str, int], form: TrackFormat
) -> Iterator[Add]:
    """A function that takes the values of tracks; the files are whole when the block ends.

    Args:
        sizes: length of every sequence by name, in the genome's order.

    Raises:
        OutputError: a file cannot be written, or the system allows too few open ones.
        ValueError: sites are out of order or place, or a value is no number.
    """
    names = file_names(tracks, form)
    paths = [folder / name for name in dict.fromkeys(names)]
    _allow_open_files(_DESCRIPTORS[form] * len(paths), folder)
    with contextlib.ExitStack() as stack:
        if form == "bigwig":
            yield _to_each([stack.enter_context(open_bigwig(path, sizes)) for path in paths])
        elif form == "bedgraph":
            streams = [stack.enter_context(atomic_output(path, tabix="bed")) for path in paths]
            yield _bedgraph(streams)
        elif form == "tsv":
            stream = stack.enter_context(atomic_output(paths[0], tabix="bed"))
            stream.write("\t".join(("#chrom", "start", "end", *(t.label for t in tracks))) + "\n")
            yield _tsv(stream)
        else:
            yield stack.enter_context(_npz(paths[0], tracks, list(sizes)))


def _allow_open_files(count: int, folder: Path) -> None:
    """Let this process open so many files more, where the system's limits have room for them."""
    try:
        import resource
    except ImportError:  # not a Unix
        return
    unlimited = resource.RLIM_INFINITY
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + _OTHER_DESCRIPTORS
    if soft == unlimited or wanted <= soft:
        return
    if hard != unlimited and wanted > hard:
        raise OutputError(
            f"so many tracks need {wanted:,} open files, and the system allows {hard:,}.",
            path=folder,
            remedy="Ask for fewer at a time with --labels, or for one file with --format tsv.",
        )
    with contextlib.suppress(OSError, ValueError):  # opening the files will tell
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _to_each(files: Sequence[BigWigFile]) -> Add:
    def add(sequence: str, starts: np.ndarray, ends: np.ndarray, values: np.ndarray) -> None:
        for column, file in enumerate(files):
            file.add_sites(sequence, starts, ends, values[:, column])

    return add


def _bedgraph(streams: Sequence[IO[str]]) -> Add:
    def add(sequence: str, starts: np.ndarray, ends: np.ndarray, values: np.ndarray) -> None:
        places = [f"{sequence}\t{a}\t{b}" for a, b in zip(starts, ends, strict=True)]
        for column, stream in enumerate(streams):
            rows = zip(places, values[:, column].tolist(), strict=True)
            stream.writelines(f"{place}\t{value:.6g}\n" for place, value in rows)

    return add


def _tsv(stream: IO[str]) -> Add:
    def add(sequence: str, starts: np.ndarray, ends: np.ndarray, values: np.ndarray) -> None:
        for start, end, row in zip(starts, ends, values.tolist(), strict=True):
            cells = "\t".join(f"{value:.6g}" for value in row)
            stream.write(f"{sequence}\t{start}\t{end}\t{cells}\n")

    return add


@contextlib.contextmanager
def _npz(path: Path, tracks: Sequence[Track], sequences: Sequence[str]) -> Iterator[Add]:
    """Arrays gathered on disk, so that memory does not grow with the genome."""
    ranks = {name: rank for rank, name in enumerate(sequences)}
    kinds: dict[str, tuple[type, tuple[int, ...]]] = {
        "sequence": (np.int32, (-1,)),
        "start": (np.int64, (-1,)),
        "end": (np.int64, (-1,)),
        "values": (np.float32, (-1, len(tracks))),
    }
    with contextlib.ExitStack() as stack:
        parts = {
            name: stack.enter_context(atomic_output(path.with_suffix(f".{name}"), "wb"))
            for name in kinds
        }

        def add(sequence: str, starts: np.ndarray, ends: np.ndarray, values: np.ndarray) -> None:
            ranked = np.full(len(starts), ranks[sequence])
            for name, array in zip(kinds, (ranked, starts, ends, values), strict=True):
                parts[name].write(np.ascontiguousarray(array, kinds[name][0]).tobytes())

        yield add
    files = {name: path.with_suffix(f".{name}") for name in kinds}
    arrays: dict[str, Any] = {
        name: np.memmap(files[name], dtype, "r").reshape(shape)
        if files[name].stat().st_size
        else np.empty((0, *shape[1:]), dtype)
        for name, (dtype, shape) in kinds.items()
    }
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        try:
            np.savez(
                stream,
                sequences=np.array(list(sequences)),
                labels=np.array([track.label for track in tracks]),
                **arrays,
            )
        except OSError as error:
            raise output_error(path, error) from error
    arrays.clear()
    for file in files.values():
        file.unlink()
