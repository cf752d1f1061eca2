from dnaannot.dna.names import counted, listed, naming_remedy, same_name


def test_names_beyond_the_fourth_are_counted():
    assert [listed(map(str, range(n))) for n in (0, 1, 4)] == ["none", "'0'", "'0', '1', '2', '3'"]
    assert listed(map(str, range(1_005))) == "'0', '1', '2', '3' and 1,001 more"


def test_names_that_differ_in_spelling_alone_are_told():
    assert "'chr' or by case" in naming_remedy(["chr1", "x"], ["2", "X"], "Look elsewhere.")
    assert naming_remedy(["chr1"], ["2", "Xchr"], "Look elsewhere.") == "Look elsewhere."


def test_a_name_in_another_spelling_is_found():
    assert same_name("2", ["chr1", "Chr2", "2a"]) == "Chr2"
    assert same_name("chrX", ["x"]) == "x"
    assert same_name("chr3", ["chr1", "30"]) is None


def test_one_thing_is_singular():
    assert [counted(n, "gene") for n in (0, 1, 1200)] == ["0 genes", "1 gene", "1,200 genes"]
