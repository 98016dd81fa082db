"""SEE ALSO of every manual page is complete, mutual and free of dead references."""
import pytest

import mdoc

# Every name of our pages: {"sockeye_addr_parse.3": "sockeye_addr.3"}.
PAGE_OF = {name: page.name for page in mdoc.PAGES for name in [*mdoc.names(page), page.name]}
each_page = pytest.mark.parametrize("page", mdoc.PAGES, ids=lambda page: page.name)


def ours(text):
    """Our pages that a text refers to. A function stands for the page that describes it."""
    return {PAGE_OF[name] for name in mdoc.references(text) if name in PAGE_OF}


def see_also(page):
    return ours(mdoc.sections(page)["SEE ALSO"])


@each_page
def test_references_to_our_pages_exist(page):
    named = {name for name in mdoc.references(page.read_text()) if name.startswith("sockeye")}
    assert named - set(PAGE_OF) == set()


@each_page
def test_see_also_names_every_page_that_the_text_names(page):
    assert ours(page.read_text()) - see_also(page) - {page.name} == set()


@each_page
def test_see_also_is_mutual(page):
    one_way = {name for name in see_also(page) if page.name not in see_also(mdoc.MAN / name)}
    assert one_way == set()


@each_page
def test_see_also_does_not_name_the_page_itself(page):
    assert page.name not in see_also(page)
