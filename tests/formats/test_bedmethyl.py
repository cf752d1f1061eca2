from __future__ import annotations

import gzip
import io
import random

import numpy as np
import pytest

from dnaannot.errors import InputFormatError
from dnaannot.formats import source
from dnaannot.formats.bedmethyl import methylation_states, read_bedmethyl


def encode_line(name, start, strand, coverage, percent, width=1, more=""):
    return (
        f"{name}\t{start}\t{start + width}\t.\t{coverage}\t{strand}\t{start}\t{start + width}"
        f"\t0,0,0\t{coverage}\t{percent}{more}\n"
    )


def modkit_line(name, start, strand, valid, modified, code="m", blank="\t"):
    percent = 100 * modified / valid if valid else 0
    counts = [valid, f"{percent:.2f}", modified, valid - modified, 0, 0, 0, 0, 0]
    first = (
        f"{name}\t{start}\t{start + 1}\t{code}\t{valid}\t{strand}\t{start}\t{start + 1}\t255,0,0"
    )
    return first + "\t" + blank.join(map(str, counts)) + "\n"


def as_dict(methylation):
    columns = (methylation.positions, methylation.coverage, methylation.percent)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return {position: (coverage, round(percent, 3)) for position, coverage, percent in rows}


def test_strands_are_added_up_on_the_c_of_cg(tmp_path):
    path = tmp_path / "x.bedmethyl"
    path.write_text(
        "track name=methylation\n"
        + encode_line("chr1", 100, "+", 10, 50)
        + encode_line("chr1", 101, "-", 30, 100)
        + encode_line("chr1", 200, ".", 4, 25, width=2)
        + encode_line("chr1", 300, "-", 2, 0, width=2)
        + encode_line("chr1", 400, "+", 0, 0)
        + encode_line("chr2", 7, "-", 3, 100)
    )
    sites = read_bedmethyl(path)
    assert as_dict(sites["chr1"]) == {100: (40, 87.5), 200: (4, 25), 300: (2, 0)}
    assert as_dict(sites["chr2"]) == {6: (3, 100)}
    assert as_dict(read_bedmethyl(path, min_coverage=4)["chr1"]) == {100: (40, 87.5), 200: (4, 25)}


@pytest.mark.parametrize("blank", ["\t", " "])
@pytest.mark.parametrize("code", ["m", "m,CG,0"])
def test_modkit_reads_are_counted_and_other_codes_left_out(tmp_path, blank, code):
    path = tmp_path / "x.bed"
    path.write_text(
        modkit_line("chr1", 10, "+", 3, 2, code, blank)
        + modkit_line("chr1", 10, "+", 3, 1, "h", blank)
        + modkit_line("chr1", 11, "-", 4, 4, code, blank)
    )
    assert as_dict(read_bedmethyl(path)["chr1"]) == {10: (7, round(600 / 7, 3))}
    assert as_dict(read_bedmethyl(path, codes=["h"])["chr1"]) == {10: (3, round(100 / 3, 3))}
    with pytest.raises(InputFormatError, match=r"No line is of modification a; there are h, m\."):
        read_bedmethyl(path, codes=["a"])


def test_many_lines_in_any_order_equal_a_dictionary(tmp_path, monkeypatch):
    """Blocks that end anywhere, sequences that come back, names of all lengths."""
    monkeypatch.setattr(source, "_GZIP_CHUNK", 500)
    draw = random.Random(1)
    expected: dict[str, dict[int, list[float]]] = {}
    text = io.StringIO()
    for _ in range(400):
        name = draw.choice(["I", "chr2", "scaffold_17"])
        position, strand = 2 * draw.randrange(200), draw.choice("+-.")
        coverage = draw.randrange(1, 100_000)
        percent = draw.randrange(101)
        text.write(encode_line(name, position + (strand == "-"), strand, coverage, percent))
        site = expected.setdefault(name, {}).setdefault(position, [0, 0.0])
        site[0] += coverage
        site[1] += coverage * percent / 100
    path = tmp_path / "x.bed.gz"
    path.write_bytes(
        b"".join(gzip.compress(line) for line in text.getvalue().encode().splitlines(1))
    )
    read = read_bedmethyl(path)
    assert read.keys() == expected.keys()
    for name, sites in expected.items():
        assert read[name].positions.tolist() == sorted(sites)
        assert {
            position: (coverage, pytest.approx(100 * methylated / coverage, abs=2e-3))
            for position, (coverage, methylated) in sites.items()
        } == as_dict(read[name])


def test_crlf_and_a_last_line_without_end_are_read(tmp_path):
    path = tmp_path / "x.bed"
    lines = encode_line("chr1", 100, "+", 10, 50) + encode_line("chr1", 300, "+", 30, 10)
    path.write_bytes(lines.replace("\n", "\r\n").rstrip().encode())
    assert as_dict(read_bedmethyl(path)["chr1"]) == {100: (10, 50), 300: (30, 10)}


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("chr1\t5\t6\n", "line 3: The line has 3 columns, where bedMethyl has 11 or more"),
        (encode_line("chr1", 5, "+", 3, 50, more="\t7"), "line 3: The line has 12 columns, the"),
        (encode_line("chr1", 5, "+", 3, 101), "line 3: The values of coverage, 3, and methyl"),
        (encode_line("chr1", 5, "+", "many", 10), "line 3: Coverage 'many' and methylation"),
        (encode_line("chr1", 5, "+", 3, 10, width=-1), "line 3: The end, 4, is not beyond"),
        (encode_line("chr1", -5, "+", 3, 10), "line 3: Start '-5' and end '-4' are not both"),
    ],
)
def test_a_line_at_fault_is_named(tmp_path, bad, message):
    path = tmp_path / "x.bed"
    path.write_text("# sites\n" + encode_line("chr1", 100, "+", 10, 50) + bad)
    with pytest.raises(InputFormatError, match=message) as error:
        read_bedmethyl(path)
    assert "bedMethyl" in str(error.value)


def test_a_file_without_sites_is_refused(tmp_path):
    path = tmp_path / "x.bed"
    path.write_text("# nothing\n")
    with pytest.raises(InputFormatError, match="no sites"):
        read_bedmethyl(path)
    path.write_bytes(b"\x26\xfc\x8f\x88" + bytes(100))
    with pytest.raises(InputFormatError, match="bigWig file, not text"):
        read_bedmethyl(path)


def test_states_are_of_clear_majorities():
    shares = np.array([0, 0.09, 0.1, 0.5, 0.9, 0.91, 1, np.nan])
    unknown = np.nan
    expected = [0, 0, unknown, unknown, unknown, 1, 1, unknown]
    np.testing.assert_array_equal(methylation_states(shares), expected)
