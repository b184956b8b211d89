"""`MetricCheck`: the result of a check of metrics, with a summary in one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from shapleycam.experiments.results.statistics import Estimate
from shapleycam.wording import counted

_CHANCE = 0.5
_FEWEST_IMAGES = 6
"""With fewer images, a sign test at 5% cannot rule out chance even if all signs agree; the bootstrap ignores this."""


@dataclass(frozen=True)
class MetricTrust:
    """The scores of a metric, each a mean over images with its 95% interval.

    Attributes:
        metric: the name of the metric.
        separation: fraction of methods whose map the metric rates better than a random map; 0.5 is chance.
        reaction: fraction of methods whose map the metric rates better than the method's map for a model with random
            weights; 0.5 is chance.
        resilience: rank correlation, over methods, between the metric's values without and with a little noise in the
            image; 1 if the order of the methods stays the same.
        agreement: rank correlation, over methods, with the other metrics, averaged over these. It proves nothing by
            itself, because metrics may agree on a wrong order.

    Examples:
        >>> from shapleycam.experiments.metric_check import MetricTrust
        >>> from shapleycam.experiments.results.statistics import Estimate
        >>> good, chance = Estimate(0.9, 0.8, 1.0, n=20), Estimate(0.5, 0.4, 0.6, n=20)
        >>> MetricTrust("adcc", good, good, good, chance).is_trusted
        True
        >>> MetricTrust("complexity", chance, good, good, chance).faults
        ('does not tell methods from random maps by more than chance',)
    """

    metric: str
    separation: Estimate
    reaction: Estimate
    resilience: Estimate
    agreement: Estimate

    @property
    def faults(self) -> tuple[str, ...]:
        """Return the reasons not to trust the metric, in words; empty if there are none."""
        return tuple(self._find_faults())

    @property
    def is_trusted(self) -> bool:
        """Return whether there is no reason not to trust the metric."""
        return not self.faults

    def _find_faults(self) -> Iterator[str]:
        if self.separation.n < _FEWEST_IMAGES:
            yield f"could be compared with random maps on {counted(self.separation.n, 'image')} only"
        elif self.separation.high < _CHANCE:
            yield "prefers random maps"
        elif not self.separation.low > _CHANCE:
            yield "does not tell methods from random maps by more than chance"
        if self.reaction.n < _FEWEST_IMAGES:
            yield f"could be compared with maps of random weights on {counted(self.reaction.n, 'image')} only"
        elif self.reaction.high < _CHANCE:
            yield "prefers maps of random weights"
        elif not self.reaction.low > _CHANCE:
            yield "does not react to random weights by more than chance"
        if self.resilience.n < _FEWEST_IMAGES:
            yield f"tells the methods apart on {counted(self.resilience.n, 'image')} only"
        elif not self.resilience.low > 0:
            yield "does not keep its order under noise by more than chance"


@dataclass(frozen=True)
class PairAgreement:
    """The agreement of two metrics: their rank correlation over methods on each image, averaged over images.

    Examples:
        >>> from shapleycam.experiments.metric_check import PairAgreement
        >>> from shapleycam.experiments.results.statistics import Estimate
        >>> PairAgreement("insertion", "deletion", Estimate(0.7, 0.6, 0.8, n=20)).first
        'insertion'
    """

    first: str
    second: str
    correlation: Estimate


@dataclass(frozen=True)
class MetricCheck:
    """The check of several metrics on one model and its photographs.

    Attributes:
        metrics: the scores of each metric.
        pairs: the agreement of each pair of metrics.
        methods: the names of the methods whose maps were measured.
        images: the number of images.

    Examples:
        >>> from shapleycam.experiments.metric_check import MetricCheck, MetricTrust
        >>> from shapleycam.experiments.results.statistics import Estimate
        >>> good, bad = Estimate(0.9, 0.8, 1.0, n=20), Estimate(0.1, 0.0, 0.2, n=20)
        >>> trusts = MetricTrust("adcc", good, good, good, good), MetricTrust("complexity", bad, good, good, good)
        >>> MetricCheck(trusts, (), ("gradcam", "pathcam", "layercam"), 20).sentence
        'On 20 images and 3 methods nothing speaks against adcc; complexity prefers random maps.'
    """

    metrics: tuple[MetricTrust, ...]
    pairs: tuple[PairAgreement, ...]
    methods: tuple[str, ...]
    images: int

    @property
    def sentence(self) -> str:
        """Return a sentence with the metrics that nothing speaks against, and the faults of the other metrics."""
        trusted = [trust.metric for trust in self.metrics if trust.is_trusted]
        parts = [f"nothing speaks against {', '.join(trusted) if trusted else 'no metric'}"]
        parts += [f"{trust.metric} {', '.join(trust.faults)}" for trust in self.metrics if trust.faults]
        if not trusted:
            parts[0] = "something speaks against every metric"
        what = f"{counted(self.images, 'image')} and {counted(len(self.methods), 'method')}"
        return f"On {what} {'; '.join(parts)}."
