"""The terms that the page and reports use, each explained in one sentence for readers new to the field."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Term:
    """A term, its meaning in one sentence, and the page of the documentation that explains more.

    Examples:
        >>> from shapleycam.html.glossary import Term
        >>> Term("v(S)", "What a coalition is worth.").id
        'term-v-s'
    """

    name: str
    meaning: str
    page: str = "theory"

    @property
    def id(self) -> str:
        """Return the name as an HTML id."""
        return "term-" + "".join(c if c.isalnum() else "-" for c in self.name.casefold()).strip("-")


_TERMS = (
    Term(
        "Shapley value",
        "How much a place of the image adds to the score on average, over all orders in which the places could be "
        "shown to the model; added up, the values give the whole score.",
    ),
    Term(
        "heatmap",
        "Where the evidence for the class is, from nothing (0) to the strongest place of this image (1); what speaks "
        "against the class is left out.",
        "choosing",
    ),
    Term(
        "signed map",
        "What each place adds to the score (red) or takes from it (blue), in units of the score.",
        "choosing",
    ),
    Term(
        "evidence",
        "The places that speak for the class: those that raise the score.",
        "choosing",
    ),
    Term("method", "The rule by which the score is divided among the places.", "choosing"),
    Term(
        "utility",
        "The number that is explained: a score that the model gives the class, as a probability, a logit, or both "
        "together (ReST).",
    ),
    Term(
        "removal",
        "What stands in for the content of places that are taken out: nothing (zero, as in the paper), or the mean "
        "over the image's own places, so that a place is compared with an average one.",
    ),
    Term(
        "smoothing",
        "A map that is made steadier: averaged over changed images (mirrored, of other contrast, with noise), or by "
        "its first component; its values no longer add up to the score.",
        "methods",
    ),
    Term(
        "layer",
        "The part of the network whose output is divided into places; the default is the last one that still has "
        "places.",
        "your-model",
    ),
    Term(
        "curvature",
        "How much of the score belongs to places only together: 0 where each counts for itself, near 1 where hardly "
        "anything does.",
    ),
    Term(
        "efficiency gap",
        "How far the values are from adding up to the score that they divide; 0% is exact, and Shapley values have 0%.",
    ),
    Term(
        "standard error",
        "How far a sampled value is typically from the true one; it shrinks as more orders are drawn.",
    ),
    Term("coalition", "Some of the image's places; the others are taken out at the layer."),
    Term("v(S)", "What the places of a coalition S are worth together: the score with them minus the score with none."),
    Term("v(N)", "What all places are worth together: the score of the image minus the score with every place empty."),
    Term("player", "A place that is shown to the model or taken out as one: a cell of the layer, or several cells."),
    Term("interaction", "What two places earn together beyond what each of them earns alone."),
    Term(
        "log-odds",
        "How much likelier one class is than another, on a logarithmic scale: 0 is equally likely, +0.7 twice as "
        "likely, +2.3 ten times.",
    ),
    Term(
        "prefix tokens",
        "Inputs of a transformer that have no place in the image, such as its class token; they have a share of the "
        "score all the same.",
        "your-model",
    ),
    Term(
        "what the network sees",
        "The photograph after resizing and cropping as the model was trained for; what is outside does not count.",
        "models",
    ),
    Term(
        "fidelity",
        "How near the values of a method are to the true Shapley values of the same image, layer and class.",
    ),
    Term(
        "relative error",
        "The distance between a method's values and the true ones, as a share of the true ones' size.",
    ),
    Term(
        "rank correlation",
        "Whether a method puts the places into the same order as the true values: 1 is the same order, 0 none, "
        "-1 the opposite (Spearman).",
    ),
)

GLOSSARY = {term.name: term for term in _TERMS}
"""All terms by name; docs/glossary.md has the same sentences."""
