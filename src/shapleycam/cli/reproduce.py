"""`shapleycam reproduce`: measures the paper's figures on your copy of ImageNet, and compares them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from shapleycam.cli import options
from shapleycam.cli.console import notes, print_note
from shapleycam.cli.display import duration
from shapleycam.cli.evaluate import run
from shapleycam.cli.results import print_results
from shapleycam.cli.run_groups import ActionGroup, EngineGroup, RunGroup

if TYPE_CHECKING:
    from shapleycam.experiments import Evaluation


def reproduce(  # noqa: PLR0913  # the experiment, and three groups of how it is run
    imagenet: Annotated[
        str, typer.Option("--imagenet", metavar="DIR", help="ImageNet's validation photographs: a folder, or shards.")
    ],
    *,
    out: options.Results = "reproduction",
    model: Annotated[
        list[str] | None, typer.Option("--model", help="One of the paper's twelve; default: all. Repeatable.")
    ] = None,
    utility: Annotated[
        Literal["rest", "log_probability", "logit"],
        typer.Option("--utility", help="rest: the paper's tables; the others: its author's ablations."),
    ] = "rest",
    pretrained: options.Pretrained = True,
    limit: options.Limit = None,
    settings: RunGroup,
    engine: EngineGroup,
    action: ActionGroup,
) -> None:
    """Reproduce the paper's tables: twelve networks, two layers, ten methods, six metrics (arXiv:2501.06261).

    - `shapleycam reproduce --imagenet val/ --out paper` says how long it will take, and does it.
    - `shapleycam reproduce --imagenet val/ --model resnet18 --limit 500 --out paper` takes one network, 500 images.
    - `shapleycam reproduce --imagenet val/ --utility log_probability --out ablation` makes the author's ablation anew.
    - `shapleycam reproduce --imagenet val/ --engine ray --actors 8 --plan` prints passes, time, disk and cost.

    It is `evaluate` with the published protocol, and `table --against paper`; a run that was stopped goes on.
    """
    from shapleycam.errors import OptionError
    from shapleycam.experiments import Evaluation, Protocol
    from shapleycam.experiments.datasets.opening import open_dataset
    from shapleycam.models import paper
    from shapleycam.names import nearest

    models = model or list(paper.NETWORKS)
    if unknown := [name for name in models if name not in paper.NETWORKS]:
        raise OptionError(f"--model {unknown[0]}: not in the paper's tables; {nearest(unknown[0], paper.NETWORKS)}")
    with notes(quiet=action.quiet):
        dataset = open_dataset(imagenet, limit)
    evaluation = Evaluation(
        tuple(models),
        dataset,
        Protocol.paper(utility),
        out,
        pretrained=pretrained,
        settings=settings.settings(engine.make_engine()),
    )
    if action.plan:
        from shapleycam.cli.plan import print_plan

        print_plan(evaluation, quiet=action.quiet)
        return
    evaluation.check()
    if not action.quiet:
        _print_estimate(evaluation)
    print_results([run(evaluation, quiet=action.quiet)], against_paper=True)


def _print_estimate(evaluation: Evaluation) -> None:
    """Run each network briefly in this process, and print an estimate of the time for all images."""
    from shapleycam.experiments.estimate import run_trials

    total = 0.0
    by_whom = "" if evaluation.settings.local else " by one worker as fast as this process"
    for trial in run_trials(evaluation):
        total += trial.seconds
        print_note(
            f"{trial.model}: {trial.seconds_per_image:.2g} s an image in a trial of two, so about "
            f"{duration(trial.seconds)} for {trial.images} images"
        )
    print_note(
        f"together about {duration(total)}{by_whom}; it can be stopped at any moment, and goes on with the same command"
    )
