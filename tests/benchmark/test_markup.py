"""Tables as Markdown, LaTeX and CSV say the same, whatever stands in them."""

from __future__ import annotations

import csv
import io

import pytest

from phasegan.benchmark.report.tables import cost_table, main_table, results_table, seeds_table
from phasegan.eta import Estimate
from phasegan.evaluation.records import Cost, ResultRow
from phasegan.evaluation.tables import BENCH_COLUMNS, COST_COLUMNS
from phasegan.evaluation.tables import bench_columns as chosen_columns
from phasegan.tables import csv_text, latex_table, markdown_document

METRICS = ("mse", "ssim", "exact")


def measured(method="net", mse=441.4, **known):
    values = {"mse": mse, "mse_stderr": 12.0, "ssim": 0.71, "exact": 0, "test_images": 5}
    cost = Cost(70.0, 120.0, 3 * 2**20, 5.0, 1.0, 8.0)
    values["mse_published"] = 18000.4
    return ResultRow(method, values, {"mse": [mse] * 5, "ssim": [None] * 5}, cost=cost, **known)


@pytest.fixture
def rows():
    trained = {"samples": 200, "epochs": 50, "seed": 0}
    return [
        measured("mean-image", 2000.0, samples=200, seed=0),
        measured(seconds=60.0, estimate=Estimate(66.0, 59.0, 70.0), **trained),
        measured("slow_net", seconds=60.0, estimate=Estimate(90.0, 80.0, 99.0), **trained),
        ResultRow("big|net", samples=4500, epochs=50, status="estimated",
            reason="estimated 1 h & more", estimate=Estimate(3600.0, 3000.0, 4000.0)),
        ResultRow("broken", samples=5, epochs=5, status="failed",
            reason="50% of $x_1$ is #1 {bad}"),
        ResultRow("published", {"mse_published": 18575}, samples=5, epochs=5, status="quoted"),
    ]  # fmt: skip


def test_markdown_has_every_row_and_says_what_is_no_result(rows):
    text = markdown_document("Heading", [main_table(rows, METRICS)], ["A remark."])
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(rows)
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1
    assert "big\\|net (not run, estimate)" in text
    assert "| 1 h 00 min ± 15 % |" in text
    assert "- broken (failed): 50% of $x_1$" in text
    assert "published (quoted)" in text
    assert "- published MSE: MSE by the published protocol" in text
    assert "- A remark." in text


def test_an_estimate_is_never_written_as_a_score(rows):
    table = main_table(rows, METRICS)
    names = [column.header for column in table.columns]
    place = next(i for i, row in enumerate(table.rows) if row.status == "estimated")
    for name in ("average MSE", "± s.e.", "SSIM", "training", "published MSE"):
        assert table.cells()[place][names.index(name)] == "–"
        assert table.sort_keys()[place][names.index(name)] is None


def test_latex_is_escaped_and_balanced(rows):
    text = latex_table(main_table(rows, METRICS), "100 % of \\phase_spectra with --budget – 1h")
    assert r"50\% of \$x\_1\$ is \#1 \{bad\}" in text
    assert r"100 \% of \textbackslash{}phase\_spectra" in text
    assert r"estimated 1 h \& more" in text
    assert "with -{}-budget -- 1h" in text
    assert text.count(r"\begin{") == text.count(r"\end{") == 3
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    columns = len(main_table(rows, METRICS).columns)
    lines = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert [line.replace(r"\&", "").count("&") for line in lines] == [columns - 1] * 7
    assert text.isascii() or set(filter(lambda c: not c.isascii(), text)) <= set("∈°é")


def test_csv_holds_the_numbers_unrounded(rows):
    lines = list(csv.DictReader(io.StringIO(csv_text(results_table(rows)))))
    assert [line["status"] for line in lines] == [row.status for row in rows]
    assert float(lines[1]["mse"]) == 441.4
    assert float(lines[1]["estimated_high"]) == 70.0
    assert lines[3]["mse"] == ""
    assert lines[4]["reason"] == "50% of $x_1$ is #1 {bad}"


def test_the_cost_table_says_how_good_estimates_were(rows):
    table = cost_table(rows)
    names = [column.header for column in table.columns]
    held, off = names.index("held"), names.index("estimate off")
    assert [cells[held] for cells in table.cells()] == ["–", "yes", "no"]
    assert [cells[off] for cells in table.cells()] == ["–", "+10.0%", "+50.0%"]
    assert table.notes == ("The interval of the estimate held in 1 of 2 trainings.",)
    assert table.cells()[1][names.index("peak memory")] == "3 MiB"


def test_nothing_measured_has_no_cost_table():
    assert cost_table([ResultRow("a", status="skipped", reason="no")]) is None


def bench_columns(rows, metrics):
    return [column.header for column in chosen_columns(rows, metrics)]


def test_columns_are_those_that_say_something(rows):
    assert "seed" not in bench_columns(rows, METRICS)
    assert "PSNR dB" not in bench_columns(rows, METRICS)
    again = [*rows, measured(samples=200, epochs=50, seed=1)]
    assert "seed" in bench_columns(again, METRICS)
    assert "scored on" not in bench_columns(again, METRICS)
    train = [*again, measured(samples=200, epochs=50, seed=1, split="train")]
    assert {"scored on", "images seen", "not seen"} <= set(bench_columns(train, METRICS))
    assert {column.header for column in COST_COLUMNS} > {"whole row", "device time", "trained /s"}
    assert "published MSE" not in bench_columns(rows, ("ssim",))


def test_every_column_of_scores_is_explained():
    unexplained = {column.header for column in BENCH_COLUMNS if not column.explanation}
    assert unexplained == {"method", "epochs", "seed"}


def test_seeds_are_summarised_in_a_table_of_their_own(rows):
    assert seeds_table(rows) is None
    both = [measured(mse=mse, samples=5, epochs=5, seed=i) for i, mse in enumerate((400, 500, 540))]
    (cells,) = seeds_table(both).cells()
    assert "480" in cells
    assert "400..540, s.d. 72" in cells


def test_lines_say_their_status_in_plain_text(rows):
    names = [cells[0] for cells in main_table(rows, METRICS).plain_cells()]
    assert names == [
        "mean-image",
        "net",
        "slow_net",
        "big|net (not run, estimate)",
        "broken (failed)",
        "published (quoted)",
    ]
