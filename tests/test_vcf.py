"""VCF: a variant for every allele, and one line with file and line for what breaks a rule."""

import gzip

import hostile_texts
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples

from sigconv.readers import vcf
from sigconv.readers.vcf import Variant

HEAD = "##fileformat=VCFv4.3\n##contig=<ID=chr1>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
LINES = "chr1\t10\trs1\tA\tG,T\t50\tPASS\t.\nchr1\t12\t.\tacg\tA\t.\t.\tX=1\nchr2\t1\t.\tN\t<DEL>,*\t.\t.\t.\n"
GOOD = f"{HEAD}{LINES}".encode()
VARIANTS = [
    Variant("chr1", 9, "rs1", "A", "G"),
    Variant("chr1", 9, "rs1", "A", "T"),
    Variant("chr1", 11, "", "ACG", "A"),
    Variant("chr2", 0, "", "N", "<DEL>"),
    Variant("chr2", 0, "", "N", "*"),
]


def read(path):
    return list(vcf.read(path))


def written(folder, content):
    path = folder / "a.vcf"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def line(text):
    return HEAD + "\t".join(text.split(" ")) + "\t.\t.\t.\n"


def test_every_allele_is_a_variant(tmp_path):
    found = read(written(tmp_path, GOOD))
    assert found == VARIANTS
    assert [variant.symbolic for variant in found] == [False, False, False, True, True]
    hostile_texts.check_forms(read, tmp_path / "a.vcf", GOOD)


@pytest.mark.parametrize("alt", ["<DUP:TANDEM>", "*", "A[chr2:321[", "]chr2:321]A", "[<ctg1>:7[A", ".A", "G."])
def test_what_is_no_sequence_is_given_as_it_stands(tmp_path, alt):
    (variant,) = read(written(tmp_path, line(f"chr1 5 . A {alt}")))
    assert variant.alt == alt
    assert variant.symbolic


def test_a_line_without_an_allele_is_no_variant(tmp_path):
    assert read(written(tmp_path, line("chr1 5 . A ."))) == []
    assert read(written(tmp_path, HEAD)) == []


def test_only_five_columns_are_needed_and_thousands_are_taken(tmp_path):
    head = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT"
    assert read(written(tmp_path, f"{head}\nchr1\t5\t.\tA\tC\n")) == [Variant("chr1", 4, "", "A", "C")]
    people = 200_000
    wide = head + "\tx" * people + "\nchr1\t5\t.\tA\tC" + "\t0|1" * people + "\n"
    assert read(written(tmp_path, wide)) == [Variant("chr1", 4, "", "A", "C")]


BAD = {
    "empty": ("", "it is empty"),
    "no mark": ("#CHROM\tPOS\tID\tREF\tALT\n", "line 1: .* is not ##fileformat=VCFv4"),
    "no mark after a blank line": ("\n#CHROM\tPOS\tID\tREF\tALT\n", "line 2: .* is not ##fileformat=VCFv4"),
    "no header": ("##fileformat=VCFv4.3\nchr1\t1\t.\tA\tC\n", "line 2: .* is not the header #CHROM"),
    "mark only": ("##fileformat=VCFv4.3\n", "it has no header"),
    "blanks": (HEAD.replace("\t", " "), "line 3: .* is not the header"),
    "fewer columns": (HEAD + "chr1\t1\t.\tA\tC\n", "line 4: it has 5 columns parted by tabs, its header 8"),
    "place 0": (line("chr1 0 . A C"), "line 4: POS '0' is not a place"),
    "no place": (line("chr1 1.5 . A C"), "line 4: POS '1.5' is not a place"),
    "endless place": (line(f"chr1 {'9' * 4000} . A C"), "line 4: POS '999"),
    "no letters": (line("chr1 1 . . C"), "line 4: REF '.' is not letters"),
    "protein": (line("chr1 1 . E C"), "line 4: REF 'E' is not letters"),
    "alleles": (line("chr1 1 . A C,,G"), "line 4: ALT '' is neither"),
    "allele": (line("chr1 1 . A C;G"), "line 4: ALT 'C;G' is neither"),
    "symbol": (line("chr1 1 . A <DEL"), "line 4: ALT '<DEL' is neither"),
    "chromosome": (HEAD + "\t1\t.\tA\tC\t.\t.\t.\n", "line 4: chromosome ''"),
    "no text": (HEAD.encode() + b"chr\xff\t1\t.\tA\tC\t.\t.\t.\n", "line 4: it is not UTF-8"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_broken_rule_is_told_in_one_line_with_file_and_line(tmp_path, case):
    content, message = BAD[case]
    with pytest.raises(ValueError, match=message) as caught:
        read(written(tmp_path, content))
    assert "a.vcf" in str(caught.value)
    hostile_texts.assert_one_line(str(caught.value), case)


def test_a_line_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(vcf, "MOST_LINE", 1000)
    with pytest.raises(ValueError, match="line 4: it has more than 1000 bytes"):
        read(written(tmp_path, HEAD + "chr1\t" + "1" * 3000))


def test_hostile_files_end_in_one_line(tmp_path):
    hostile_texts.check_refused(read, tmp_path / "bad.vcf", GOOD, b"##fileformat=VCFv4.3\n")
    hostile_texts.check_no_file(vcf.read, tmp_path)


@examples(200)
@given(st.data(), st.booleans())
def test_any_damage_is_read_or_refused(tmp_path_factory, data, packed):
    path = tmp_path_factory.mktemp("vcf") / "a.vcf"
    found = hostile_texts.check_damaged(read, path, gzip.compress(GOOD, mtime=0) if packed else GOOD, data)
    assert found is None or all(variant.start >= 0 and variant.ref.isalpha() and variant.alt for variant in found)
