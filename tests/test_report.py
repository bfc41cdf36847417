"""Claims, labels, digits, tables and files of a report."""

import json
import math

from matplotlib.figure import Figure
import pandas as pd
import pytest

from llmresearch.reporting import claims, display, origins
from llmresearch.reporting.claims import ReportError, claim, weakest
from llmresearch.intervals import Estimate
from llmresearch.reporting.report import Report


def estimate(value, low, high, n=10):
    return Estimate(value, low, high, n)


@pytest.fixture
def report(tmp_path):
    return Report("demo", tmp_path / "demo")


@pytest.mark.parametrize(
    ("low", "high", "status"),
    [
        (1.1, 1.3, "supported"),
        (0.7, 0.9, "refuted"),
        (0.9, 1.3, "undecided"),
        (math.nan, math.nan, "undecided"),
        (1.0, 1.3, "undecided"),
    ],
)
def test_a_claim_above_a_line_follows_its_interval(low, high, status):
    assert (
        claim("a", "A.", estimate((low + high) / 2 if low == low else 1.2, low, high), above=1).status
        == status
    )


def test_a_claim_below_a_line_follows_its_interval():
    assert claim("a", "A.", estimate(0.8, 0.7, 0.9), below=1).status == "supported"
    assert claim("a", "A.", estimate(1.2, 1.1, 1.3), below=1).status == "refuted"


def test_a_claim_between_two_lines_is_refuted_beyond_either():
    assert claim("a", "A.", estimate(1.0, 0.99, 1.01), above=0.98, below=1.02).status == "supported"
    assert claim("a", "A.", estimate(1.1, 1.05, 1.15), above=0.98, below=1.02).status == "refuted"
    assert claim("a", "A.", estimate(1.01, 0.99, 1.03), above=0.98, below=1.02).status == "undecided"


def test_a_claim_about_nan_is_not_measured():
    assert claim("a", "A.", estimate(math.nan, math.nan, math.nan), above=1).status == "not measured"


def test_an_unbounded_interval_can_decide_the_side_that_it_bounds():
    assert claim("a", "A.", estimate(3.0, 2.0, math.inf), above=1).status == "supported"
    assert claim("a", "A.", estimate(3.0, 2.0, math.inf), below=5).status == "undecided"


def test_a_bare_measurement_decides_nothing_and_exact_arithmetic_does():
    assert claim("a", "A.", 1.5, above=1).status == "undecided"
    assert claim("a", "A.", 1.5, above=1, label="derived").status == "supported"


def test_a_claim_without_a_line_is_refused():
    with pytest.raises(ReportError, match="claim 'a': no line"):
        claim("a", "A.", estimate(1, 0, 2))


def test_a_combination_is_as_weak_as_its_weakest_part_and_unknown_wins():
    assert weakest("measured", "derived") == "derived"
    assert weakest("fitted", "measured", "extrapolated") == "extrapolated"
    assert weakest("measured", "unknown", "cited") == "unknown"
    assert weakest() == "unknown"


def test_an_unknown_label_is_refused_with_the_known_ones():
    with pytest.raises(ReportError, match="label: 'guessed' is not known. Labels: measured, derived"):
        weakest("guessed")


@pytest.mark.parametrize(
    ("value", "low", "high", "unit", "text"),
    [
        (0.0024123, 0.0023801, 0.0024499, "s", "2.412 ms [2.380, 2.450]"),
        (12.34, 11.0, 14.0, "s", "12.3 s [11.0, 14.0]"),
        (1.4159, 1.31, 1.52, "", "1.42 [1.31, 1.52]"),
        (5.0 * 2**30, math.nan, math.nan, "B", "5.000 GiB"),
        (124439808, math.nan, math.nan, "", "124,439,808"),
        (math.nan, math.nan, math.nan, "s", "–"),
        (0.2, 0.2, 0.2, "s", "200 ms"),
        (1 / 3, 1 / 3, 1 / 3, "", "0.3333"),
        (3.0, 2.0, math.inf, "", "3.000 [2.000, ∞]"),
        (0.29, 0.01, 43.0, "", "0.29 [0.01, 43.00]"),
        (0.04, -0.71, 0.79, "", "0.04 [-0.71, 0.79]"),
    ],
)
def test_digits_follow_the_interval(value, low, high, unit, text):
    assert display.estimate(value, low, high, unit) == text


def test_a_table_shows_ms_and_gib_and_keeps_seconds_and_bytes_in_its_file(report):
    frame = pd.DataFrame(
        {
            "backend": ["hf"],
            "sessions": [3],
            "median": [0.0123456],
            "low": [0.0121],
            "high": [0.0126],
            "weights_bytes": [2**31],
        }
    )
    piece = report.table(frame, "Time per call.", name="times")
    assert "| backend | sessions | median, ms [95 % interval] | weights bytes, GiB |" in piece.markdown
    assert "| hf | 3 | 12.35 [12.10, 12.60] | 2.000 |" in piece.markdown
    text = (report.folder / "tables" / "times.csv").read_text()
    assert text == "backend,sessions,median,low,high,weights_bytes\nhf,3,0.0123456,0.0121,0.0126,2147483648\n"


def test_estimates_in_a_table_become_three_columns_of_its_file(report):
    frame = pd.DataFrame({"model": ["a"], "slope": [estimate(0.5, 0.25, 0.75)]})
    piece = report.table(frame, "Slopes.", name="slopes")
    assert "| a | 0.50 [0.25, 0.75] |" in piece.markdown
    assert (
        report.folder / "tables" / "slopes.csv"
    ).read_text() == "model,slope,slope_low,slope_high\na,0.5,0.25,0.75\n"


def test_low_and_high_belong_to_the_column_before_them(report):
    frame = pd.DataFrame(
        {"measured_seconds": [0.5], "foretold_seconds": [0.4], "low": [0.3], "high": [0.5], "ratio": [1.25]}
    )
    piece = report.table(frame, "Foretold.")
    assert "| measured seconds, ms | foretold seconds, ms [95 % interval] | ratio |" in piece.markdown
    assert "| 500.0 | 400 [300, 500] | 1.250 |" in piece.markdown


def test_a_mean_of_anything_is_no_time(report):
    piece = report.table(pd.DataFrame({"size": ["7 B"], "mean": [0.25], "median": [0.5]}), "Errors, %.")
    assert "| size | mean | median |" in piece.markdown and "| 7 B | 0.2500 | 0.5000 |" in piece.markdown


def test_counts_are_no_seconds_and_chances_have_three_decimals(report):
    piece = report.table(pd.DataFrame({"max": [7], "curvature_p": [0.00001], "p": [0.0417]}), "Counts.")
    assert "| max | curvature p | p |" in piece.markdown
    assert "| 7 | < 0.001 | 0.042 |" in piece.markdown


def test_words_of_the_closed_vocabularies_are_badges_in_html(report):
    piece = report.table(pd.DataFrame({"verdict": ["faster", "a <b>"]}), "Verdicts.")
    assert '<span class="lr-badge lr-good">faster</span>' in piece.html
    assert "a &lt;b&gt;" in piece.html


def test_a_pipe_in_a_cell_does_not_break_a_markdown_table(report):
    assert "| a\\|b |" in report.table(pd.DataFrame({"x": ["a|b"]}), "Pipes.").markdown


def test_a_table_without_rows_says_so(report):
    assert "nothing was measured" in report.table(pd.DataFrame({"x": []}), "Empty.").markdown


def test_long_tables_are_cut_on_the_page_and_whole_in_the_file(report):
    piece = report.table(pd.DataFrame({"x": range(50)}), "Long.", name="long")
    assert "The first 40 of 50 rows; all of them: tables/long.csv." in piece.markdown
    assert (report.folder / "tables" / "long.csv").read_text().count("\n") == 51


def test_a_table_may_be_in_its_file_only(report):
    piece = report.table(pd.DataFrame({"x": range(50)}), "Ledger.", name="ledger", longest=0)
    assert "50 rows, in tables/ledger.csv." in piece.markdown and "nothing" not in piece.markdown


def test_captions_are_numbered_by_kind_and_kept_when_shown_again(report):
    assert "**Table 1.** One. (measured)" in report.table(pd.DataFrame({"x": [1]}), "One.").markdown
    assert "**Table 2.** Two." in report.table(pd.DataFrame({"x": [1]}), "Two.").markdown
    assert "**Figure 1.** Three." in report.figure(Figure(), "Three.").markdown
    assert "**Table 1.** One." in report.table(pd.DataFrame({"x": [2]}), "One.").markdown


def test_the_same_figure_gives_the_same_bytes_and_its_data(report):
    def draw():
        figure = Figure()
        figure.subplots().plot([1, 2], [3, 4])
        return figure

    report.figure(draw(), "A line.", name="line", data=pd.DataFrame({"x": [1, 2], "y": [3.5, 4.0]}))
    first = (report.folder / "figures" / "line.png").read_bytes()
    report.figure(draw(), "A line.", name="line", data=pd.DataFrame({"x": [1, 2], "y": [3.5, 4.0]}))
    assert (report.folder / "figures" / "line.png").read_bytes() == first
    assert b"Software" not in first
    assert (report.folder / "figures" / "line.csv").read_text() == "x,y\n1,3.5\n2,4.0\n"


def test_a_number_carries_its_label_and_goes_to_numbers_json(report):
    text = report.number(estimate(0.5, 0.4, 0.6), "s")
    assert f"It takes {text}." == "It takes 500 ms [400, 600] (measured)."
    assert report.number(math.nan, "s") == "unknown"
    kept = json.loads((report.folder / "numbers.json").read_text())
    assert [(k["value"], k["unit"], k["label"]) for k in kept] == [
        (0.5, "s", "measured"),
        (None, "s", "unknown"),
    ]


def test_claims_go_to_claims_json_with_their_line_and_status(report):
    shown = report.claim("fast", "It is fast.", estimate(0.5, 0.4, 0.6), below=1.0, unit="s")
    assert shown.status == "supported"
    kept = json.loads((report.folder / "claims.json").read_text())
    assert kept[0]["id"] == "fast"
    assert (kept[0]["status"], kept[0]["below"], kept[0]["above"]) == ("supported", 1.0, None)


def test_two_claims_cannot_share_an_id(report):
    report.claim("a", "One.", 1.0, above=0)
    with pytest.raises(ReportError, match="claim 'a': already says 'One.'"):
        report.claim("a", "Two.", 1.0, above=0)


def test_a_name_that_is_no_file_name_is_refused(report):
    with pytest.raises(ReportError, match="is no name for a file"):
        report.table(pd.DataFrame({"x": [1]}), "One.", name="../x")


def test_a_footer_without_a_raw_file_says_unknown_and_uncalibrated(report):
    text = report.footer().markdown
    assert "| Raw file | none |" in text
    assert "| Certificate | uncalibrated |" in text
    assert "| Code | unknown |" in text


def test_another_source_is_named_in_the_footer_with_its_hash(report, tmp_path):
    path = tmp_path / "prices.csv"
    path.write_text("a\n")
    assert report.source(path, "a price list") == path
    assert (
        "| Also read | prices.csv (a price list), sha256 87428fc522803d31065e7bce3cf03fe4"
        in report.footer().markdown
    )
    with pytest.raises(ReportError, match="source: .*nothing.csv is not there"):
        report.source(tmp_path / "nothing.csv", "nobody's")


def test_files_that_a_report_no_longer_shows_are_taken_away_by_its_footer(tmp_path):
    first = Report("demo", tmp_path / "demo")
    first.table(pd.DataFrame({"x": [1]}), "One.", name="one")
    first.footer()
    second = Report("demo", tmp_path / "demo")
    second.table(pd.DataFrame({"x": [1]}), "Two.", name="two")
    second.footer()
    assert [path.name for path in (tmp_path / "demo" / "tables").iterdir()] == ["two.csv"]


def test_a_disk_that_says_no_is_one_sentence(report, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("llmresearch.reporting.report.os.replace", full)
    with pytest.raises(ReportError, match=r"one.csv: could not be written \(No space left on device\)"):
        report.table(pd.DataFrame({"x": [1]}), "One.", name="one")


def test_every_status_and_label_has_a_colour_or_a_word():
    assert set(claims.STATUSES) <= set(display.BADGES)


@pytest.mark.parametrize(
    ("stored", "line", "word"),
    [
        (None, "uncalibrated", "uncalibrated"),
        ({"checks": {"timer": {"passed": True}}, "passed": True, "made": "2026-01-02"},
         "1 of 1 checks passed (timer); made 2026-01-02", "calibrated"),
        ({"checks": {"timer": {"passed": True}, "aa": {"passed": False}}, "made": "2026-01-02"},
         "1 of 2 checks passed (timer); failed: aa; made 2026-01-02", "calibration incomplete"),
    ],
)  # fmt: skip
def test_a_certificate_is_one_line_and_one_word(stored, line, word):
    found = {"facts": {"certificate": stored}}
    assert (origins.certificate(found), origins.calibration(found)) == (line, word)


def test_what_was_left_out_is_counted_with_its_reason():
    frame = pd.DataFrame(
        [
            {
                "cell_id": "a",
                "session": 1,
                "status": "ok",
                "reason": None,
                "kind": kind,
                "contaminated": why,
                "seconds": 1.0,
            }
            for kind, why in [
                ("first", None),
                ("sample", None),
                ("sample", "others used 0.5 of 2 cores"),
                ("sample", "others used 0.7 of 2 cores"),
            ]
        ]
        + [
            {
                "cell_id": "b",
                "session": 1,
                "status": "refused",
                "reason": "needs a GPU",
                "kind": None,
                "contaminated": None,
                "seconds": math.nan,
            }
        ]
    )
    assert [(row["what"], row["count"], row["of"], row["reason"]) for row in origins.exclusions(frame)] == [
        ("cells refused", 1, 2, "needs a GPU"), ("first calls", 1, 4, "shown as cold start"),
        ("contaminated samples", 2, 4, "others used … of … cores"),
    ]  # fmt: skip


def test_the_share_of_time_in_the_models_leaves_loading_out():
    facts = {"model_seconds": 7.0, "wall_seconds": 14.0, "load_seconds": 4.0}
    assert origins.shown({"facts": facts})["Time inside the models"] == "70 % of the wall time after loading"
    assert origins.shown({"facts": {}})["Time inside the models"] == "unknown"


def test_a_file_for_other_programs_lies_in_the_folder_and_nan_is_null(report):
    shown = report.file("cost_analysis.json", {"usd": [1.5, math.nan]}, "Costs.")
    assert json.loads((report.folder / "cost_analysis.json").read_text()) == {"usd": [1.5, None]}
    assert shown.markdown == "**[cost_analysis.json](demo/cost_analysis.json)** Costs. (derived)"
    report.file("metrics.csv", pd.DataFrame({"a": [0.1]}), "Calls.")
    assert (report.folder / "metrics.csv").read_text().split() == ["a", "0.1"]


@pytest.mark.parametrize("name", ["report.json", "../x.json", "notes.txt"])
def test_a_file_never_lands_elsewhere_nor_on_the_report_s_own(report, name):
    with pytest.raises(ReportError, match="is no name for one"):
        report.file(name, {}, "No.")


def test_a_file_that_a_later_run_does_not_write_goes_away(report):
    report.file("old.json", {}, "Old.")
    report.footer()
    again = Report("demo", report.folder)
    again.file("new.json", {}, "New.")
    again.footer()
    assert sorted(p.name for p in report.folder.glob("*.json")) == ["new.json", "report.json"]


def test_a_long_text_is_shown_by_both_ends_and_kept_whole_in_the_file():
    long = "RuntimeError: " + "std::conditional_t<THRW, void> " * 40 + "CUDA failure 901"
    table = pd.DataFrame({"reason": [long, "short"]})
    shown = [row[0] for row in display.Shown(table).rows]
    assert shown[1] == "short" and len(shown[0]) < 310
    assert shown[0].startswith("RuntimeError: std") and shown[0].endswith("CUDA failure 901")
    assert long in display.csv(table)
