from __future__ import annotations

import gzip
import os
import resource
import subprocess
import sys
from contextlib import contextmanager

import pysam
import pytest

from dnaannot.errors import OutputError
from dnaannot.formats.output import atomic_output, atomic_path, check_writable, make_folder


@contextmanager
def full_disk():
    """No file can grow beyond 4 kB; no fixture, as pytest's own output may be such a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_output_appears_whole(tmp_path):
    path = tmp_path / "out.txt"
    with atomic_output(path) as stream:
        stream.write("µ\n")
        assert not path.exists()
    assert path.read_bytes() == "µ\n".encode()
    assert os.listdir(tmp_path) == ["out.txt"]


@pytest.mark.parametrize("name", ["out.txt", "out.gff3.gz"])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_nothing_is_left_after_an_exception_and_the_old_file_stays(tmp_path, name, error):
    path = tmp_path / name
    path.write_text("old")
    with pytest.raises(error), atomic_output(path, tabix="gff") as stream:  # noqa: PT012
        stream.write("new\n" * 100_000)
        raise error
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("name", ["out.txt", "out.txt.gz"])
@pytest.mark.parametrize("size", [6_000, 600_000])
def test_full_disk_is_an_output_error(tmp_path, name, size):
    letters = os.urandom(size).hex()
    with (
        full_disk(),
        pytest.raises(OutputError, match=name),
        atomic_output(tmp_path / name) as stream,
    ):
        stream.write(letters)
    assert os.listdir(tmp_path) == []


def test_device_that_is_full():
    with pytest.raises(OutputError, match="No space left"), atomic_output("/dev/full") as stream:
        stream.write("x")


def test_a_device_is_written_to_and_not_replaced():
    before = os.stat("/dev/null")
    with atomic_output("/dev/null") as stream:
        stream.write("x")
    assert os.stat("/dev/null").st_rdev == before.st_rdev


def test_a_link_is_followed(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with atomic_output(tmp_path / "link") as stream:
        stream.write("x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "x"


def test_errors_of_the_block_are_not_blamed_on_the_output(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_output(tmp_path / "out"):
        (tmp_path / "missing").read_text()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("opener", [check_writable, lambda path: atomic_output(path).__enter__()])
def test_impossible_places(tmp_path, opener):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="Create its folder first"):
        opener(tmp_path / "missing" / "out")
    with pytest.raises(OutputError, match="not a folder"):
        opener(tmp_path / "file" / "out")
    with pytest.raises(OutputError, match="not a folder"):
        opener(tmp_path)
    assert os.listdir(tmp_path) == ["file"]


def test_check_writable_leaves_nothing(tmp_path):
    check_writable(tmp_path / "out")
    check_writable("-")
    assert os.listdir(tmp_path) == []


def test_make_folder(tmp_path):
    assert make_folder(tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="not a folder"):
        make_folder(tmp_path / "file")


def test_gz_is_bgzip_with_an_index(tmp_path):
    path = tmp_path / "out.gff3.gz"
    line = "s\tx\tgene\t{0}\t{0}\t.\t+\t.\tID={0}\n"
    text = "##gff-version 3\n" + "".join(line.format(i + 1) for i in range(20_000))
    with atomic_output(path, tabix="gff") as stream:
        stream.write(text)
    assert gzip.decompress(path.read_bytes()).decode() == text
    assert sorted(os.listdir(tmp_path)) == ["out.gff3.gz", "out.gff3.gz.tbi"]
    with pysam.TabixFile(str(path)) as index:
        found = [row.split("\t")[3] for row in index.fetch("s", 9_999, 10_002)]
    assert found == ["10000", "10001", "10002"]


def test_a_sequence_too_long_for_tbi_has_a_csi(tmp_path):
    path = tmp_path / "out.gff3.gz"
    with atomic_output(path, tabix="gff") as stream:
        stream.write("s\tx\tgene\t600000001\t600000009\t.\t+\t.\tID=a\n")
    assert sorted(os.listdir(tmp_path)) == ["out.gff3.gz", "out.gff3.gz.csi"]
    with pysam.TabixFile(str(path), index=f"{path}.csi") as index:
        assert len(list(index.fetch("s", 600_000_000, 600_000_001))) == 1


def test_atomic_path_deletes_what_was_written_there(tmp_path):
    with pytest.raises(KeyboardInterrupt), atomic_path(tmp_path / "out") as temporary:  # noqa: PT012
        temporary.write_text("x")
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []


def test_standard_output(capsys):
    with atomic_output("-") as stream:
        stream.write("x\n")
    assert capsys.readouterr().out == "x\n"


def test_pysam_is_imported_late():
    script = "import sys, dnaannot.formats.output; sys.exit('pysam' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
