"""Outputs that are whole or absent: written beside their place, renamed when complete."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import secrets
import stat
import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Literal

from dnaannot.errors import OutputError

STDOUT = "-"

_BGZIP_BLOCK = 65280  # bytes before compression, as in htslib: even random ones fit in 64 kB

_REMEDIES = {
    errno.ENOENT: "Create its folder first.",
    errno.ENOTDIR: "Part of its path is a file, not a folder: choose another path.",
    errno.EACCES: "Choose a path that you may write to.",
    errno.EPERM: "Choose a path that you may write to.",
    errno.EROFS: "The file system is read-only: choose a path elsewhere.",
    errno.EISDIR: "Give a file, not a folder.",
    errno.ENOSPC: "Free some space or choose a path on another disk.",
    errno.EDQUOT: "Your quota is used up: free some space or choose another disk.",
    errno.EFBIG: "The file is larger than its disk or your limits allow: choose another disk.",
    errno.EMFILE: "Allow more open files (ulimit -n 4096), or ask for fewer at a time.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
}


def output_error(path: str | Path, error: OSError) -> OutputError:
    """The `OutputError` that tells what the system said of `path` and what to do about it."""
    reason = error.strerror or str(error) or type(error).__name__
    remedy = _REMEDIES.get(error.errno or 0, "Choose another path or disk.")
    return OutputError(f"cannot be written: {reason}.", path=path, remedy=remedy)


def check_writable(path: str | Path) -> None:
    """Make sure, by trying, that a file can be put at `path`; `-` always can.

    Raises:
        OutputError: it cannot; nothing is left behind.
    """
    if not os.fspath(path):
        raise OutputError("the name of an output is empty.", remedy="Name a file.")
    if os.fspath(path) == STDOUT or _is_device(path):
        return
    temporary = _temporary_beside(path)
    try:
        os.close(_create(temporary))
        os.unlink(temporary)
    except OSError as error:
        raise output_error(path, error) from error


def make_folder(path: str | Path) -> Path:
    """Make sure that the folder `path` exists and can be written to; returns it.

    Raises:
        OutputError: it cannot be made, is a file, or is not writable.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise OutputError("is a file, not a folder.", path=path, remedy="Give a folder.") from error
    except OSError as error:
        raise output_error(path, error) from error
    try:
        check_writable(folder / "probe")
    except OutputError as error:
        raise OutputError(error.problem, path=path, remedy=error.remedy) from error
    return folder


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a path in the folder of `path` to write to; it becomes `path` on success.

    On any exception, Ctrl-C included, what was written is deleted and a file that stood at
    `path` before stays. Devices and pipes such as /dev/null are yielded themselves.

    Raises:
        OutputError: the file cannot be put in its place.
    """
    if _is_device(path):
        yield Path(path)
        return
    temporary = _temporary_beside(path)
    try:
        yield temporary
        try:
            _place(temporary, path)
        except OSError as error:
            raise output_error(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


@contextlib.contextmanager
def atomic_output(
    path: str | Path, mode: Literal["w", "wb"] = "w", *, tabix: Literal["gff", "bed"] | None = None
) -> Iterator[IO]:
    """A file object that appears at `path` when the block ends without an exception.

    Args:
        path: where to; `-` is standard output. In text mode a name that ends in .gz is
            compressed as bgzip.
        mode: "w" (UTF-8 text, lines end in LF) or "wb".
        tabix: format by which a compressed text is indexed (`path`.tbi, or .csi where a
            sequence is longer than 512 Mb). Its lines must be sorted.

    Raises:
        OutputError: it cannot be written, at the start, in the middle (disk full) or at the end.
    """
    if os.fspath(path) == STDOUT:
        yield from _standard_output(mode)
        return
    compress = mode == "w" and os.fspath(path).endswith(".gz") and not _is_device(path)
    with atomic_path(path) as temporary:
        try:
            raw = (_Bgzip if compress else _File)(temporary, path)
        except OSError as error:
            raise output_error(path, error) from error
        binary = io.BufferedWriter(raw, _BGZIP_BLOCK)
        stream = binary if mode == "wb" else io.TextIOWrapper(binary, "utf-8", newline="\n")
        try:
            yield stream
            stream.close()
        finally:
            with contextlib.suppress(OutputError):
                raw.close()
        if compress and tabix:
            _index(temporary, path, tabix)


class _File(io.FileIO):
    """Unbuffered file whose failures are an `OutputError` about `path`."""

    def __init__(self, temporary: Path, path: str | Path) -> None:
        self._path = path
        super().__init__(_open(temporary), "wb")

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except BrokenPipeError:
            raise
        except OSError as error:
            raise output_error(self._path, error) from error


class _Bgzip(_File):
    """Writes what it is given as blocks of bgzip, each a gzip member of its own."""

    _HEAD = struct.pack("<4BI2BH2BH", 31, 139, 8, 4, 0, 0, 255, 6, 66, 67, 2)

    def write(self, data: Any) -> int:
        view = memoryview(data)
        for start in range(0, len(view), _BGZIP_BLOCK):
            self._write_block(view[start : start + _BGZIP_BLOCK])
        return len(view)

    def close(self) -> None:
        try:
            if not self.closed:
                self._write_block(b"")
        finally:
            super().close()

    def _write_block(self, data: bytes | memoryview) -> None:
        deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
        packed = deflate.compress(data) + deflate.flush()
        size = len(self._HEAD) + 2 + len(packed) + 8
        tail = struct.pack("<2I", zlib.crc32(data), len(data))
        block = memoryview(self._HEAD + struct.pack("<H", size - 1) + packed + tail)
        while block:
            block = block[super().write(block) :]


def _standard_output(mode: str) -> Iterator[IO]:
    stream = sys.stdout if mode == "w" else sys.stdout.buffer
    yield stream
    try:
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise output_error("standard output", error) from error


def _index(temporary: Path, path: str | Path, preset: Literal["gff", "bed"]) -> None:
    """Index the bgzip file `temporary` and put the index beside `path`."""
    import pysam

    def build(index: Path, csi: bool) -> None:
        pysam.tabix_index(
            os.fspath(temporary),
            preset=preset,
            force=True,
            keep_original=True,
            index=os.fspath(index),
            csi=csi,
        )

    target = os.path.realpath(path)
    verbosity = pysam.set_verbosity(0)
    try:
        with atomic_path(target + ".tbi") as index:
            build(index, csi=False)
        suffix = ".tbi"
    except OSError:  # a sequence too long for .tbi
        try:
            with atomic_path(target + ".csi") as index:
                build(index, csi=True)
        except OSError as error:
            raise output_error(os.fspath(path) + ".csi", error) from error
        suffix = ".csi"
    finally:
        pysam.set_verbosity(verbosity)
    with contextlib.suppress(OSError):  # an index left by an earlier run
        os.unlink(target + {".tbi": ".csi", ".csi": ".tbi"}[suffix])


def _is_device(path: str | Path) -> bool:
    """Whether `path` is there and is neither file nor folder (/dev/null, a pipe)."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def remove_leftovers(path: str | Path) -> None:
    """Remove what killed runs left of the file `path` and of an index beside it.

    Nobody else may be writing them meanwhile.
    """
    if os.fspath(path) == STDOUT:
        return
    target = Path(os.path.realpath(path))
    names = (target.with_name(target.name + ending) for ending in ("", ".tbi", ".csi"))
    hidden = "|".join(re.escape(_hidden(each)) for each in names)
    leftover = re.compile(rf"({hidden})[0-9a-f]{{8}}\.tmp")
    for each in target.parent.iterdir():
        if leftover.fullmatch(each.name):
            each.unlink(missing_ok=True)


def _hidden(target: Path) -> str:
    """What temporary names of a file begin with."""
    return f".{target.name[:200]}."


def _temporary_beside(path: str | Path) -> Path:
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise output_error(path, IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)))
    return target.with_name(f"{_hidden(target)}{secrets.token_hex(4)}.tmp")


def _create(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)


def _open(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CLOEXEC) if _is_device(path) else _create(path)


def _place(temporary: Path, path: str | Path) -> None:
    """Flush `temporary` to disk and rename it to `path`."""
    descriptor = os.open(temporary, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(temporary, os.path.realpath(path))
