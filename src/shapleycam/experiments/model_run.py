"""`ModelRun`: evaluates the chunks of one model with an engine, and writes them to the store of a run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from shapleycam.errors import OptionError
from shapleycam.experiments.chunk import ChunkDecoder, ChunkEvaluator
from shapleycam.experiments.datasets.snapshot import Snapshot
from shapleycam.experiments.evaluated_model import EvaluatedModel, LoadedModel
from shapleycam.experiments.lazy import Lazy
from shapleycam.experiments.progress import ProgressListener
from shapleycam.experiments.settings import RunSettings
from shapleycam.experiments.store import Store
from shapleycam.wording import counted


@dataclass(frozen=True)
class ModelRun:
    """The evaluation of one model.

    Attributes:
        evaluated_model: the model as the user gave it; machines of a cluster load it themselves.
        model: the same model, lazily loaded in this process.
        snapshot: the content signatures of the dataset.
        settings: where and how fast the evaluation runs.
    """

    evaluated_model: EvaluatedModel
    model: Lazy[LoadedModel]
    snapshot: Snapshot
    settings: RunSettings

    def evaluate(self, chunks: Sequence[range], store: Store, listener: ProgressListener) -> None:
        """Evaluate chunks of images, and write each to the store.

        Raises:
            ShapleyCamError: the model, an image or the storage has an error, or written chunks have disappeared.
        """
        settings, name = self.settings, self.evaluated_model.name
        prepare = ChunkDecoder(self.evaluated_model.dataset, self.model().preprocess, self.snapshot)
        # Other machines load the model themselves, on their own device. In this process it is loaded already.
        load_model = self.model if settings.local else Lazy(self.evaluated_model.load)
        protocol = self.evaluated_model.protocol
        perform = ChunkEvaluator(name, load_model, protocol, store, settings.batch_size, settings.strict)
        with closing(settings.effective_engine.run(chunks, prepare, perform)) as results:
            for result in results:
                listener.batch_finished(result.images, result.rows)
        if missing := store.pending(name):
            store.refuse_lost_run()
            raise OptionError(self._describe_lost_chunks(len(missing), store))

    def _describe_lost_chunks(self, count: int, store: Store) -> str:
        chunks = f"{counted(count, 'chunk')} that this run wrote to {store.storage} cannot be found there"
        if self.settings.local:
            return f"{chunks}: removed while the run went on; evaluate again, which makes them anew"
        return (
            f"{chunks}: removed while the run went on, or the machines of the cluster do not share this folder; give "
            "one that they share, or a URL such as s3://bucket/run"
        )
