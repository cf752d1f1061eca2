from __future__ import annotations

import gzip

import gffutils
import pytest

from dnaannot.dna.transcript import Exon, Strand
from dnaannot.errors import InputFormatError
from dnaannot.formats import gff_transcripts as reasons
from dnaannot.formats.gff import parse_attributes, read_annotation


def rows(text: str) -> str:
    """Blanks to tabs in the first eight columns."""
    return "".join("\t".join(line.split(maxsplit=8)) + "\n" for line in text.strip().splitlines())


@pytest.fixture
def read(tmp_path):
    def read_text(text: str):
        path = tmp_path / "genes.gff"
        path.write_text(rows(text))
        return read_annotation(path)

    return read_text


@pytest.mark.parametrize(
    "name", ["yeast_chrII_120kb", "human_chr19_150kb", "zymoseptoria_chr13_150kb"]
)
def test_reads_as_gffutils_does(test_data, name):
    path = test_data / f"{name}.gff3.gz"
    text = gzip.decompress(path.read_bytes()).decode()
    oracle = gffutils.create_db(text, ":memory:", from_string=True, merge_strategy="create_unique")
    annotation = read_annotation(path)
    genes = oracle.features_of_type("gene")
    assert annotation.names == {
        (g.seqid, g.id): g["Name"][0] for g in genes if "Name" in g.attributes
    }
    found = {item.transcript.name: item for item in annotation.transcripts}
    expected = {
        mrna.id: list(oracle.children(mrna, featuretype="CDS", order_by="start"))
        for mrna in oracle.features_of_type("mRNA")
    }
    assert found.keys() == {mrna for mrna, parts in expected.items() if parts}
    for mrna, item in found.items():
        transcript, feature = item.transcript, oracle[mrna]
        assert transcript.exons == tuple(
            (part.start - 1, part.end, int(part.frame), exon.score)
            for part, exon in zip(expected[mrna], transcript.exons, strict=True)
        )
        assert (transcript.sequence, transcript.strand.value) == (feature.seqid, feature.strand)
        assert transcript.gene == feature["Parent"][0]
        assert item.attributes == {
            key: ",".join(values) for key, values in feature.attributes.items()
        }


def only(annotation):
    assert annotation.skipped == {}
    (item,) = annotation.transcripts
    return item.transcript


def exons(transcript) -> list[tuple[int, int, int]]:
    return [tuple(exon[:3]) for exon in transcript.exons]


ENSEMBL_GTF = """
1 e gene 11 60 . + . gene_id "G"; gene_name "A b; c";
1 e transcript 11 60 . + . gene_id "G"; transcript_id "T"; tag "basic";
1 e exon 11 60 . + . gene_id "G"; transcript_id "T";
1 e CDS 11 20 . + 0 gene_id "G"; transcript_id "T";
1 e start_codon 11 13 . + 0 gene_id "G"; transcript_id "T";
1 e CDS 31 38 . + 2 gene_id "G"; transcript_id "T";
1 e stop_codon 39 41 . + 0 gene_id "G"; transcript_id "T";
"""
AUGUSTUS_GTF = """
1 AUGUSTUS gene 11 60 1 - . g1
1 AUGUSTUS transcript 11 60 . - . g1.t1
1 AUGUSTUS stop_codon 11 13 . - 0 transcript_id "g1.t1"; gene_id "g1";
1 AUGUSTUS CDS 14 20 .9 - 1 transcript_id "g1.t1"; gene_id "g1";
1 AUGUSTUS CDS 31 41 .9 - 0 transcript_id "g1.t1"; gene_id "g1";
"""
AUGUSTUS_GFF3 = """
1 AUGUSTUS gene 11 60 1 - . ID=g1
1 AUGUSTUS transcript 11 60 . - . ID=g1.t1;Parent=g1
1 AUGUSTUS stop_codon 11 13 . - 0 Parent=g1.t1
1 AUGUSTUS CDS 11 20 .9 - 1 ID=g1.t1.cds;Parent=g1.t1
1 AUGUSTUS CDS 31 41 .9 - 0 ID=g1.t1.cds;Parent=g1.t1
"""


def test_gtf_stop_codon_joins_the_cds(read):
    transcript = only(read(ENSEMBL_GTF))
    assert exons(transcript) == [(10, 20, 0), (30, 41, 2)]
    assert (transcript.name, transcript.gene) == ("T", "G")
    assert transcript.strand is Strand.PLUS


NAMED_TRANSCRIPT = ENSEMBL_GTF.replace('"T"; tag', '"T"; gene_name "A b; c"; tag')
NAMED_CDS = ENSEMBL_GTF.replace("CDS 11 20 . + 0", 'CDS 11 20 . + 0 gene_name "A b; c";')


@pytest.mark.parametrize(
    "text",
    [
        ENSEMBL_GTF,
        "\n".join(line for line in NAMED_TRANSCRIPT.splitlines() if " gene " not in line),
        "\n".join(line for line in NAMED_CDS.splitlines() if " CDS " in line),
    ],
    ids=["gene", "transcript", "CDS"],
)
def test_gtf_names_genes_on_any_of_their_lines(read, text):
    assert read(text).names == {("1", "G"): "A b; c"}


@pytest.mark.parametrize("text", [AUGUSTUS_GTF, AUGUSTUS_GFF3])
def test_augustus(read, text):
    transcript = only(read(text))
    assert exons(transcript) == [(10, 20, 1), (30, 41, 0)]
    assert (transcript.name, transcript.gene) == ("g1.t1", "g1")
    assert transcript.strand is Strand.MINUS


@pytest.mark.parametrize(
    ("strand", "cds", "stops", "expected"),
    [
        ("+", (10, 18), [(19, 20), (31, 31)], [(9, 20, 0), (30, 31, 1)]),
        ("+", (11, 19), [(31, 33)], [(10, 19, 0), (30, 33, 0)]),
        ("-", (31, 39), [(29, 30), (11, 11)], [(10, 11, 1), (28, 39, 0)]),
        ("-", (31, 39), [(11, 13)], [(10, 13, 0), (30, 39, 0)]),
    ],
)
def test_stop_codons_that_an_intron_splits_or_cuts_off(read, strand, cds, stops, expected):
    end = f'{strand} 0 gene_id "G"; transcript_id "T";\n'
    lines = [f"1 e CDS {cds[0]} {cds[1]} . {end}"]
    lines += [f"1 e stop_codon {start} {stop} . {end}" for start, stop in stops]
    assert exons(only(read("".join(lines)))) == expected


def test_cds_right_under_a_gene(read):
    one = read(
        "1 e gene 1 99 . + . ID=g\n1 e CDS 1 9 . + 0 Parent=g\n1 e CDS 21 29 . + 0 Parent=g\n"
    )
    assert exons(only(one)) == [(0, 9, 0), (20, 29, 0)]
    assert (only(one).name, only(one).gene) == ("g", "g")
    two = read(
        "1 e gene 1 99 . + . ID=g\n1 e CDS 1 9 . + 0 ID=a;Parent=g\n"
        "1 e CDS 21 29 . + 0 ID=a;Parent=g\n1 e CDS 4 9 . + 0 ID=b;Parent=g\n"
    )
    assert [(item.transcript.name, item.transcript.gene) for item in two.transcripts] == [
        ("a", "g"),
        ("b", "g"),
    ]
    numbered = read(
        "1 e gene 1 99 . + . ID=g\n1 e CDS 1 9 . + 0 ID=c1;Parent=g\n"
        "1 e CDS 21 29 . + 0 ID=c2;Parent=g\n"
    )
    assert exons(only(numbered)) == [(0, 9, 0), (20, 29, 0)]


def test_isoforms_right_under_a_gene_have_stop_codons_of_their_own(read):
    gene = "1 e gene 1 99 . {0} . ID=g\n1 e CDS 21 29 . {0} 0 ID=a;Parent=g\n"
    gene += "1 e CDS 21 26 . {0} 0 ID=b;Parent=g\n1 e CDS 15 29 . {0} 0 ID=c;Parent=g\n"
    gene += "1 e stop_codon {1} . {0} 0 Parent=g\n1 e stop_codon {2} . {0} 0 Parent=g\n"
    plus = read(gene.format("+", "30 32", "27 29")).transcripts
    assert [exons(each.transcript) for each in plus] == [
        [(20, 32, 0)],
        [(20, 29, 0)],
        [(14, 32, 0)],
    ]
    minus = read(gene.format("-", "18 20", "12 14")).transcripts
    assert [exons(each.transcript) for each in minus] == [
        [(17, 29, 0)],
        [(17, 26, 0)],
        [(11, 29, 0)],
    ]


def test_one_identifier_on_two_sequences_is_two_transcripts(read):
    joined = read(AUGUSTUS_GFF3 + AUGUSTUS_GFF3.replace("\n1 ", "\n2 "))
    assert joined.skipped == {}
    alone = exons(only(read(AUGUSTUS_GFF3)))
    assert [
        (each.transcript.sequence, each.transcript.gene, exons(each.transcript))
        for each in joined.transcripts
    ] == [("1", "g1", alone), ("2", "g1", alone)]


def test_a_cds_of_two_transcripts_and_parents_that_come_later(read):
    found = read(
        "1 e CDS 1 9 . + 0 ID=c;Parent=a,b%2C1\n"
        "1 e mRNA 1 9 . + . ID=a;Parent=g;Note=50%25%3B x\n1 e mRNA 1 9 . + . ID=b%2C1;Parent=g\n"
    )
    assert [item.transcript.name for item in found.transcripts] == ["a", "b,1"]
    assert {item.transcript.gene for item in found.transcripts} == {"g"}
    assert found.transcripts[0].attributes["Note"] == "50%; x"
    assert [item.line for item in found.transcripts] == [2, 3]


def test_phases_left_out_begin_in_frame(read):
    found = only(read("1 e CDS 1 8 . - . Parent=a\n1 e CDS 21 30 . - . Parent=a\n"))
    assert found.exons[0][:3] == (0, 8, 2)
    assert found.exons[1][:3] == (20, 30, 0)


SKIPPED = {
    reasons.NO_PARENT: ("1 e CDS 1 9 . + 0 ID=c", [2]),
    reasons.OVERLAP: ("1 e CDS 1 9 . + 0 Parent=a\n1 e CDS 9 12 . + 0 Parent=a", [3]),
    reasons.SCATTERED: ("1 e CDS 1 9 . + 0 Parent=a\n1 e CDS 11 12 . - 0 Parent=a", [3]),
    reasons.NO_STRAND: ("1 e CDS 1 9 . . 0 Parent=a", [2]),
    reasons.BAD_COORDINATES: ("1 e CDS 0 9 . + 0 Parent=a\n1 e CDS 9 7 . + 0 Parent=b", [2, 3]),
    reasons.BAD_PHASE: ("1 e CDS 1 9 . + 0 Parent=a\n1 e CDS 11 12 . + 3 Parent=a", [3]),
}


@pytest.mark.parametrize("reason", SKIPPED)
def test_what_cannot_be_read_is_skipped_and_counted(read, reason):
    text, lines = SKIPPED[reason]
    found = read(f"1 e CDS 1 9 . + 0 Parent=good\n{text}\n")
    assert found.skipped == {reason: lines}
    assert [item.transcript.name for item in found.transcripts] == ["good"]


BAD_FILES = {
    "empty": (b"", None, "empty"),
    "FASTA": (b">a\nACGT\n", 1, "FASTA"),
    "columns": (b"##gff-version 3\na\tb\tCDS\t1\t2\n", 2, "5 columns"),
    "blanks": (b"a b CDS 1 2 . + 0 Parent=x\n", 1, "separated by tabs"),
    "words": (b"a\tb\tCDS\tx\t2\t.\t+\t0\tParent=x\n", 1, "not both integers"),
    "BED": (b"chr1\t1\t2\n", 1, "3 columns"),
    "binary": (b"\x00\x01\x02", None, "not text"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_bad_files(tmp_path, kind):
    content, line, message = BAD_FILES[kind]
    path = tmp_path / "genes.gff3"
    path.write_bytes(content)
    with pytest.raises(InputFormatError, match=message) as caught:
        read_annotation(path)
    assert str(caught.value).startswith(str(path))
    assert caught.value.line == line


def test_sequences_at_the_end_are_passed_over(tmp_path):
    path = tmp_path / "genes.gff3"
    line = "a\tb\tCDS\t1\t9\t.\t+\t0\tParent=x\n"
    for directive in ("##FASTA\n", ""):
        path.write_text(f"{line}{directive}>a\nACGT\n")
        assert only(read_annotation(path)).exons == (
            Exon(0, 9, 0, only(read_annotation(path)).exons[0].score),
        )


def test_no_genes_is_no_error(tmp_path):
    (tmp_path / "genes.gff3").write_text("##gff-version 3\n")
    assert read_annotation(tmp_path / "genes.gff3").transcripts == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ID=a;Name=b c", {"ID": "a", "Name": "b c"}),
        ("ID=a%3Bb; Note=x=y;", {"ID": "a;b", "Note": "x=y"}),
        ('gene_id "a; b"; level 2; note "x=y";', {"gene_id": "a; b", "level": "2", "note": "x=y"}),
        ("g1.t1", {"ID": "g1.t1"}),
        (".", {}),
    ],
)
def test_attributes(text, expected):
    assert parse_attributes(text) == expected


def test_stretches_of_what_cannot_be_read_are_known(read):
    found = read(
        "1 e CDS 5 9 . + 0 ID=orphan\n"
        "1 e CDS 11 19 . + 0 Parent=a\n1 e CDS 15 30 . + 0 Parent=a\n"
        "1 e CDS 41 49 . + 0 Parent=b\n1 e CDS 61 69 . - 0 Parent=b\n"
        "1 e CDS 1 9 . + 0 Parent=good\n"
    )
    assert [tuple(stretch)[:3] for stretch in found.unusable] == [
        ("1", 4, 9),
        ("1", 10, 30),
        ("1", 40, 69),
    ]


@pytest.mark.parametrize(
    "attributes",
    [
        "Parent=a;pseudo=true",
        "pseudo=true;Parent=a",
        'gene_id "g"; transcript_id "a"; pseudo "true";',
    ],
)
def test_pseudogenes_are_left_out(read, attributes):
    found = read(f"s x CDS 1 30 . + 0 {attributes}\ns x CDS 61 90 . + 0 Parent=b;note=pseudo")
    assert [each.transcript.name for each in found.transcripts] == ["b"]
    assert found.skipped == {"of a pseudogene": [1]}
    assert [(each.start, each.end) for each in found.unusable] == [(0, 30)]


def test_parents_without_a_line(read):
    found = read(
        "s x mRNA 1 30 . + . ID=a\ns x CDS 1 30 . + 0 Parent=a\ns x CDS 61 90 . + 0 Parent=b\n"
        "s x CDS 91 99 . + 0 Parent=c\ns x CDS 95 99 . - 0 Parent=c\n"
        's x CDS 121 150 . + 0 gene_id "g"; transcript_id "d";'
    )
    assert found.parentless == [3]
