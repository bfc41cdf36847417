"""From a notebook to its pages: parameters first, failures in a sentence, nothing from elsewhere."""

import re
import sys

import example
import nbformat
import pytest

from llmresearch.reporting import kernel, render
from llmresearch.reporting.claims import ReportError
from llmresearch.reporting.notebook import begin, parameters


@pytest.fixture(scope="module")
def markdown():
    return example.rendered().markdown.read_text()


@pytest.fixture(scope="module")
def html():
    return example.rendered().html.read_text()


def test_an_unknown_parameter_stops_before_anything_runs(tmp_path):
    with pytest.raises(
        ReportError, match=r"-p: unknown parameter 'repetitons' for fixture.ipynb. Did you mean repetitions\?"
    ):
        render.report(
            "fixture", out_folder=tmp_path / "out", notebook=example.NOTEBOOK, overrides={"repetitons": 9}
        )
    assert not (tmp_path / "out").exists()


def test_an_unknown_parameter_in_a_file_names_the_file(tmp_path):
    file = tmp_path / "p.yaml"
    file.write_text("bakcends: [fake]\n")
    with pytest.raises(ReportError, match="p.yaml: unknown parameter 'bakcends'.*Did you mean backends"):
        render.report("fixture", file, out_folder=tmp_path / "out", notebook=example.NOTEBOOK)


def test_overrides_win_over_the_file(tmp_path):
    file = tmp_path / "p.yaml"
    file.write_text("repetitions: 7\nshown: e2e\n")
    assert render.parameters(example.NOTEBOOK, file, {"repetitions": 8}) == {"repetitions": 8, "shown": "e2e"}


def test_an_unknown_study_names_the_known_ones(tmp_path):
    (tmp_path / "tr1.ipynb").write_text("{}")
    with pytest.raises(ReportError, match="no study 'tr9'. Known studies: tr1"):
        render.find("tr9", tmp_path / "tr9.ipynb")


def test_a_notebook_without_a_parameters_cell_is_refused(tmp_path):
    path = tmp_path / "n.ipynb"
    nbformat.write(nbformat.v4.new_notebook(), path)
    with pytest.raises(ReportError, match="no cell is tagged 'parameters'"):
        render.declared(path)


def test_a_file_that_is_no_notebook_is_one_sentence(tmp_path):
    path = tmp_path / "n.ipynb"
    path.write_text("no JSON")
    with pytest.raises(ReportError, match="cannot be read as a notebook"):
        render.read(path)


def test_declared_parameters_are_the_literals_of_their_cell(tmp_path):
    path = example.notebook(tmp_path, "a = 1\nb: float = 2.5  # a comment\nc = [1, {'d': None}]\ne = a + 1")
    assert render.declared(path) == {"a": 1, "b": 2.5, "c": [1, {"d": None}], "e": None}


def test_a_failing_cell_is_one_sentence_that_names_it_and_leaves_the_rest(tmp_path):
    path = example.notebook(
        tmp_path, 'folder = "x"\nraw = None\nmeasure = True', "good = 1", 'raise ValueError("no luck.")'
    )
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "STUDY.ipynb").write_text("earlier")
    with pytest.raises(ReportError) as caught:
        render.report("study", out_folder=tmp_path / "out", notebook=path)
    sentence = str(caught.value)
    assert sentence.startswith(
        "study.ipynb, cell [4] under 'A study': ValueError: no luck. What was measured stays in "
    )
    assert "\n" not in sentence
    assert (tmp_path / "out" / "STUDY.failed.ipynb").exists()
    assert (tmp_path / "out" / "STUDY.ipynb").read_text() == "earlier"


def test_a_kernel_that_dies_is_one_sentence(tmp_path):
    path = example.notebook(tmp_path, 'folder = "x"', "import os\nos._exit(1)")
    with pytest.raises(
        ReportError,
        match="study.ipynb: the kernel stopped .*What it did until then is in .*STUDY.failed.ipynb",
    ):
        render.report("study", out_folder=tmp_path / "out", notebook=path)


def test_the_kernel_is_this_interpreter():
    assert kernel.ThisInterpreter().kernel_spec.argv[0] == sys.executable


def test_the_pages_and_files_of_a_report_are_all_there(markdown):
    pages = example.rendered()
    assert pages.html.exists() and pages.notebook.exists()
    files = {path.relative_to(pages.folder).as_posix() for path in pages.folder.rglob("*") if path.is_file()}
    assert {
        "tables/times.csv",
        "figures/samples.png",
        "figures/samples.csv",
        "claims.json",
        "numbers.json",
        "report.json",
    } <= files
    assert {"raw/fixture.jsonl", "raw/fixture.json"} <= files
    for link in re.findall(r"!\[.*?\]\((.*?)\)", markdown):
        assert (pages.markdown.parent / link).exists()


def test_the_html_needs_nothing_from_elsewhere(html):
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!data:|#)[^"']*""", html)
    assert not re.findall(r"https?://|url\(|@import|<script|<link", html)
    assert "MathJax" not in html and "require.js" not in html


def test_progress_and_noise_do_not_reach_the_pages(markdown, html):
    for page in (markdown, html):
        assert "progress: half" not in page
        assert "\r" not in page


def test_code_is_folded_away_in_both_pages(markdown, html):
    assert markdown.count("```python") == markdown.count("<details><summary>Code")
    assert html.count('<details class="lr-code">') == markdown.count("```python")


def test_the_html_has_contents_that_lead_to_its_headings(html):
    anchors = re.findall(r'<li class="lr-l2"><a href="#([^"]+)">', html)
    assert len(anchors) >= 5
    assert all(f'id="{anchor}"' in html for anchor in anchors)


def test_generated_sentences_have_headings_and_labels_in_html(html):
    assert re.search(r"<h3 id=[^>]+>Engine fake<", html)
    assert re.search(
        r'<p>It takes 3\.\d+ ms \[[^]]+\] <span class="lr-label lr-from-measured">measured</span>\.</p>', html
    )
    assert '<li class="lr-l3"><a href="#Engine-fake">Engine fake</a></li>' in html


def test_the_html_shows_claims_and_the_missing_certificate_at_the_top(html):
    top = html[html.index('class="lr-top"') : html.index("<h1")]
    assert "2 supported" in top and "uncalibrated" in top


def test_a_refused_cell_is_in_the_coverage_with_its_reason(markdown):
    assert re.search(r"\| fake:gpu .*\| 1 \| 0 \| 1 \|.*needs a GPU \|", markdown)
    assert "1 of 3 cells refused (needs a GPU)" in markdown


def test_places_are_not_on_the_page_and_parameters_are(markdown):
    assert "repetitions = 9" in markdown
    assert str(example.rendered().markdown.parent) not in markdown


def test_rendering_again_from_the_same_raw_file_gives_the_same_bytes(tmp_path):
    first = example.rendered()
    again = render.report(
        "fixture", out_folder=tmp_path, notebook=example.NOTEBOOK, overrides={"repetitions": 9},
        raw=first.folder / "raw" / "fixture.jsonl", measure=False,
    )  # fmt: skip
    assert again.markdown.read_bytes() == first.markdown.read_bytes()
    assert again.html.read_bytes() == first.html.read_bytes()


def test_a_report_of_refused_cells_only_renders_and_says_so(tmp_path):
    refused = [{"name": "fake", "label": "gpu", "refuse": "needs a GPU"}]
    pages = render.report(
        "fixture", out_folder=tmp_path, notebook=example.NOTEBOOK, overrides={"backends": refused}
    )
    text = pages.markdown.read_text()
    assert "**Nothing was measured: every cell was refused or failed.**" in text
    assert "No rows: nothing was measured that could stand here." in text


def test_reading_without_a_raw_file_is_one_sentence(tmp_path):
    with pytest.raises(ReportError, match="is not there, and measure is off. Name a raw file"):
        render.report("fixture", out_folder=tmp_path, notebook=example.NOTEBOOK, measure=False)


def test_the_parameters_of_a_notebook_are_its_plain_values():
    names = {"a": 1, "b": [1], "_c": 2, "In": ["x"], "Out": {}, "report": object(), "d": None}
    assert parameters(names) == {"a": 1, "b": [1], "d": None}


def test_a_notebook_begins_with_a_report_and_what_to_measure(tmp_path):
    report, params = begin("demo", {"folder": str(tmp_path), "backends": ["fake"], "margin": 0.02})
    assert report.folder == tmp_path / "demo"
    assert report.raw == tmp_path / "demo" / "raw" / "demo.jsonl"
    assert params == {"study": "demo", "backends": ["fake"]}
    assert report.params == {"backends": ["fake"], "margin": 0.02}


def test_a_compressed_raw_file_is_found_where_only_that_is_there(tmp_path):
    packed = tmp_path / "demo" / "raw" / "demo.jsonl.gz"
    packed.parent.mkdir(parents=True)
    packed.touch()
    assert begin("demo", {"folder": str(tmp_path)})[0].raw == packed
