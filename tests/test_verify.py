"""A report follows from its raw file, or `verify` says where it does not."""

from base64 import b64encode
import gzip
import importlib.util
from io import BytesIO
from pathlib import Path

import example
from matplotlib.image import imsave
import numpy as np
import pytest

from llmresearch.reporting import render
from llmresearch.reporting.claims import ReportError
from llmresearch.reporting.verify import compare, folder_of, same_picture, verify

BENCHMARK = Path(__file__).parent.parent / "benchmarks" / "verify_edits.py"


@pytest.fixture
def folder(tmp_path):
    return example.copied(tmp_path)


@pytest.fixture
def derived():
    return example.rendered().folder


def picture(brightness, width=4):
    content = BytesIO()
    imsave(content, np.full((3, width, 3), brightness, np.uint8), format="png")
    return content.getvalue()


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_an_untouched_report_has_no_differences_also_when_its_raw_file_was_compressed(folder):
    raw = folder / "raw" / "fixture.jsonl"
    raw.with_name("fixture.jsonl.gz").write_bytes(gzip.compress(raw.read_bytes(), mtime=0))
    raw.unlink()
    assert verify(folder, example.NOTEBOOK) == []


def test_a_page_stands_for_the_folder_beside_it(folder):
    pages = [folder.parent / "FIXTURE.md", folder.parent / "FIXTURE.html", folder]
    assert [folder_of(page) for page in pages] == [folder.resolve()] * 3
    change(folder / "tables" / "times.csv", "fake:slow", "fake:quick")
    assert [found.file for found in verify(pages[0], example.NOTEBOOK)] == ["fixture/tables/times.csv"]


def test_a_page_without_its_folder_is_one_sentence(tmp_path):
    (tmp_path / "TR118.md").write_text("# A page\n")
    with pytest.raises(ReportError, match="tr118/report.json: cannot be read .*or its page, outputs/TR118.md"):
        verify(tmp_path / "TR118.md")


def test_a_changed_raw_file_moves_everything_that_follows_from_it(folder):
    raw = folder / "raw" / "fixture.jsonl"
    raw.write_text(raw.read_text().replace('"seconds": 0.0', '"seconds": 0.1'))
    files = {difference.file for difference in verify(folder, example.NOTEBOOK)}
    assert {
        "FIXTURE.md",
        "FIXTURE.html",
        "fixture/tables/times.csv",
        "fixture/figures/samples.csv",
        "fixture/figures/samples.png",
    } <= files


def test_a_changed_number_is_found_with_its_line_and_both_values(folder, derived):
    change(folder.parent / "FIXTURE.md", "| refused |", "| refused now |")
    [found] = compare(folder, derived)
    assert found.file == "FIXTURE.md"
    assert found.line == 1 + next(
        i for i, x in enumerate((folder.parent / "FIXTURE.md").read_text().splitlines()) if "refused now" in x
    )
    assert "refused now" in str(found) and "shown" in str(found) and "derived" in str(found)


@pytest.mark.parametrize("file", ["claims.json", "numbers.json", "tables/times.csv", "figures/samples.csv"])
def test_a_changed_file_beside_the_page_is_found(folder, derived, file):
    path = folder / file
    digit = next(letter for letter in path.read_text() if letter in "123456789")
    change(path, digit, str(int(digit) - 1))
    assert [difference.file for difference in compare(folder, derived)] == [f"fixture/{file}"]


def test_a_changed_status_in_the_html_is_found(folder, derived):
    change(
        folder.parent / "FIXTURE.html",
        '<span class="lr-badge lr-good">supported</span>',
        '<span class="lr-badge lr-bad">refuted</span>',
    )
    [found] = compare(folder, derived)
    assert found.file == "FIXTURE.html"


def test_missing_added_and_changed_files_are_found(folder, derived):
    (folder / "tables" / "times.csv").unlink()
    (folder / "tables" / "more.csv").write_text("x\n1\n")
    (folder / "figures" / "samples.png").write_bytes(picture(40))
    found = {(d.file, d.shown, d.derived) for d in compare(folder, derived)}
    assert ("fixture/tables/times.csv", "(absent)", "a file") in found
    assert ("fixture/tables/more.csv", "a file", "(absent)") in found
    assert "fixture/figures/samples.png" in {file for file, _, _ in found}


def test_a_picture_may_differ_by_a_nuance_and_not_by_a_digit():
    assert same_picture(picture(100), picture(101))
    assert not same_picture(picture(100), picture(110))
    assert not same_picture(picture(100), picture(100, width=5))
    assert not same_picture(picture(100), b"no picture")


def test_a_page_may_hold_a_picture_that_differs_by_a_nuance(folder, tmp_path):
    other = example.copied(tmp_path / "other")
    for place, brightness in ((folder, 100), (other, 101)):
        data = b64encode(picture(brightness)).decode()
        change(place.parent / "FIXTURE.html", "</main>", f'<img src="data:image/png;base64,{data}"/></main>')
    assert compare(folder, other) == []


def test_an_added_line_is_one_difference(folder, derived):
    change(folder.parent / "FIXTURE.md", "## Claims\n", "## Claims\n\nAll of them hold.\n")
    assert [d.shown for d in compare(folder, derived) if d.shown.strip()] == ["All of them hold."]


def test_one_digit_edits_are_caught(derived):
    spec = importlib.util.spec_from_file_location("verify_edits", BENCHMARK)
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    assert benchmark.caught(derived, derived, 40) == 40


def test_a_report_that_measures_nothing_is_derived_from_its_notebook(tmp_path):
    places, begin = (
        'folder = "x"\nraw = None\nmeasure = True',
        "from llmresearch.reporting.notebook import begin\nreport, _ = begin('study', globals())",
    )
    path = example.notebook(
        tmp_path, places, begin, "report.number(0.25, 's', label='cited')\nreport.footer()"
    )
    pages = render.report("study", out_folder=tmp_path / "out", notebook=path)
    assert verify(pages.folder, path) == []
    change(pages.folder / "numbers.json", "0.25", "0.26")
    assert [difference.derived.strip() for difference in verify(pages.folder, path)] == ['"value": 0.25,']


def test_a_folder_that_is_no_report_is_one_sentence(tmp_path):
    with pytest.raises(
        ReportError, match=r"report.json: cannot be read .*Name the folder of a rendered report"
    ):
        verify(tmp_path)


def test_a_report_without_its_raw_file_is_one_sentence(folder):
    (folder / "raw" / "fixture.jsonl").unlink()
    with pytest.raises(ReportError, match="fixture.jsonl: not there, nor compressed. Put the raw file"):
        verify(folder, example.NOTEBOOK)
