"""The report of a graph job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from opnet.evaluation.plots import draw, plot_history, plot_node_signals
from opnet.evaluation.predict import predict
from opnet.evaluation.records import Record
from opnet.evaluation.report import Report

if TYPE_CHECKING:
    from opnet.cli.graph_job import GraphJob


def summary(records: Sequence[Record]) -> list[list[Any]]:
    """A row an order, its interval beside what theory gives; of transfers those to the largest graph."""
    rows = []
    largest = max((r["n"] for r in records if r["name"] == "transfer_error"), default=0)
    for r in records:
        if r["name"] == "error" or (r["name"] == "transfer_error" and r["n"] != largest):
            continue
        name = r["name"].replace("_", " ")
        what = f"{name}, {r['case']}" if "case" in r else name
        if "n" in r:
            what += f", n = {r['n']}"
        interval = f"[{r['low']:.3f}, {r['high']:.3f}]" if "low" in r else ""
        theory = "" if "expected" not in r else f"{r['expected']:g}"
        if "tolerance" in r and r["name"] == "order":
            theory += f" ± {r['tolerance']:g}"
        rows.append([what, r.get("graphon", ""), r.get("part", ""), r["value"], interval, theory])
    return rows


def graph_report(job: GraphJob, records: Sequence[Record], meta: dict[str, Any]) -> Report:
    """The page of a graph job."""
    recipe, transfer, metric = job.recipe, job.transfer_study, job.metrics[0].name
    assert transfer is not None
    report = Report(recipe.name, f"{recipe.model.model_class} on graphs drawn from graphons.")
    convergence = [r for r in records if not r["name"].startswith("transfer")]
    if convergence:
        report.heading("At what rate is the limit approached?")
        report.table(job.header, summary(convergence))
        report.text(
            "Untrained graph neural differential equations with random weights, against their exact graphon limit. "
            "feature: the error of reading the initial function at n nodes; operator: that of the sampled graph in "
            "place of the graphon; nodal: root mean square at the nodes; time: what finer time steps change; total: "
            "all of it. Intervals cover what seeds and what sizes that are not yet asymptotic change. Dashed lines "
            "have the theoretical slope."
        )
        caption = "Error against the number of nodes, a dot a seed."
        report.figures(*((draw(study.plot, title=title), caption) for title, study in job.convergence_studies.items()))
    report.heading("What is lost on a larger graph?")
    for part in transfer.errors:
        matrix = transfer.matrix(part).tolist()
        rows = [[n, *row] for n, row in zip(transfer.sizes_train, matrix, strict=True)]
        law = transfer.fit(part)
        report.table([f"n_train; truth: {part}", *(f"n = {n}" for n in transfer.sizes_test)], rows)
        if law is None:
            report.text("No law is fitted: that takes two training sizes, and errors that fall beyond their scatter.")
        else:
            report.text(
                f"Fitted: {law.C:.3g} (n_train^-{law.rate:.2f} + n^-{law.rate:.2f}) + {law.floor:.3g}; root mean "
                f"square misfit {100 * law.misfit:.1f} %."
            )
    trained = ", ".join(map(str, transfer.sizes_train))
    report.text(
        f"Trained on trajectories of {job.dynamics.equation} on graphs of n = {trained} drawn from "
        f"{job.graphon.name}; {metric} on test trajectories at other n, with the same weights. 'same graph' is held "
        "to the solution on the same graph: what learning leaves. 'limit' is held to the solution on the graphon: "
        "learning and graph together. The law fitted, where one stands out, is C (n_train^-rate + n^-rate) + floor."
    )
    caption = "Error on graphs of n nodes, against the solution there or on the graphon."
    report.figures(
        *((draw(transfer.plot, part=part, title=f"truth: {part}", label=metric), caption) for part in transfer.errors)
    )
    largest = transfer.sizes_test[-1]
    run = job.runs[transfer.sizes_train[-1], 0]
    batch = job.examples(largest).batch(range(2))
    with torch.no_grad():
        prediction = predict(run.model, batch)
    image = plot_node_signals(batch, prediction)
    report.figures(
        (image, f"Two test trajectories at the final time, n = {largest}: the limit's solution and the model's.")
    )
    report.heading("Training")
    label = f"n = {transfer.sizes_train[-1]}, seed 0"
    report.figures((draw(plot_history, run.history, label=label), f"{recipe.training.loss} against epoch."))
    seconds = ", ".join(f"{part} {value:.0f} s" for part, value in meta["seconds"].items())
    report.text(f"Time spent: {seconds}.")
    report.reproduction(recipe.resolved, meta, records)
    return report
