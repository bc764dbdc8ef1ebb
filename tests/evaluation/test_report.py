import re

import torch

from opnet.evaluation.plots import draw, plot_error_against_resolution, plot_history, plot_samples
from opnet.evaluation.records import record
from opnet.evaluation.report import Report
from opnet.spaces.grid import Grid


def test_a_report_needs_no_other_file_and_escapes_what_it_is_given():
    report = Report("<b>title</b>", "lead")
    report.heading("h & m")
    report.text("a < b")
    report.figures(("data:image/png;base64,AAAA", 'a "caption"'))
    report.details("more", {"k": "<v>"})
    page = report.html()
    assert "<b>title" not in page
    assert "a &lt; b" in page
    assert "&lt;v&gt;" in page
    assert not re.search(r'(src|href)="(?!data:)', page)


def test_every_plot_draws():
    grid = Grid((8, 8), nodes="cell")
    u = torch.rand(2, 1, 8, 8)
    records = [
        record("RelativeL2", 0.02 / n, low=0.01 / n, high=0.03 / n, resolution=[n, n], inference="native")
        for n in (8, 16)
    ] + [record("discretisation_error", 0.001, resolution=[n, n]) for n in (8, 16)]
    history = [{"epoch": i, "loss": 1 / i, "validation": None} for i in (1, 2)]
    images = [
        plot_samples(u, u, u + 0.1, grid, ["a", "b"]),
        plot_samples(u[..., 0], u[..., 0], u[..., 0], Grid((8,), nodes="cell"), ["a"]),
        draw(plot_error_against_resolution, records, "RelativeL2"),
        draw(plot_history, history),
    ]
    assert all(image.startswith("data:image/png;base64,iVBOR") for image in images)
