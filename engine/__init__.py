"""Keyset-paginated asynchronous batch extraction from MongoDB, with proof that nothing was lost.

The public names are loaded at first use (PEP 562), so that `import engine.settings` or `from engine import
Settings`, as in a DAG file, loads neither aiohttp nor a MongoDB driver.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers and editors; a test compares these imports with _PUBLIC
    from engine.checking.repair import repair as repair
    from engine.checking.replay import replay as replay
    from engine.checking.verify import Verification as Verification
    from engine.checking.verify import verify as verify
    from engine.errors import ConfigError as ConfigError
    from engine.errors import EngineError as EngineError
    from engine.errors import ExtractionError as ExtractionError
    from engine.errors import Failure as Failure
    from engine.errors import Interrupted as Interrupted
    from engine.errors import PlanError as PlanError
    from engine.errors import SourceError as SourceError
    from engine.errors import WriteError as WriteError
    from engine.extractors.extractor import Extractor as Extractor
    from engine.extractors.http_extractor import HttpExtractor as HttpExtractor
    from engine.keys.key import Key as Key
    from engine.keys.key import KeyRange as KeyRange
    from engine.keys.window import Window as Window
    from engine.model import Entity as Entity
    from engine.model import Progress as Progress
    from engine.model import Status as Status
    from engine.planning.plan import Plan as Plan
    from engine.planning.planner import load_plan as load_plan
    from engine.planning.planner import plan_ranges as plan_ranges
    from engine.planning.splitting import split_range as split_range
    from engine.report import RangeReport as RangeReport
    from engine.report import Report as Report
    from engine.report import RunReport as RunReport
    from engine.reporting.lookup import report_html as report_html
    from engine.running.run import conclude as conclude
    from engine.running.run import range_reports as range_reports
    from engine.running.run import run as run
    from engine.running.run import run_range as run_range
    from engine.settings import Settings as Settings
    from engine.settings.tuning import Tuning as Tuning
    from engine.storing.mongo_writer import MongoWriter as MongoWriter
    from engine.storing.target import Target as Target
    from engine.storing.target import target_of as target_of
    from engine.storing.writer import JsonLinesWriter as JsonLinesWriter
    from engine.storing.writer import Writer as Writer

_PUBLIC = {
    "engine.checking.repair": ("repair",),
    "engine.checking.replay": ("replay",),
    "engine.checking.verify": ("Verification", "verify"),
    "engine.errors": (
        "ConfigError",
        "EngineError",
        "ExtractionError",
        "Failure",
        "Interrupted",
        "PlanError",
        "SourceError",
        "WriteError",
    ),
    "engine.extractors.extractor": ("Extractor",),
    "engine.extractors.http_extractor": ("HttpExtractor",),
    "engine.keys.key": ("Key", "KeyRange"),
    "engine.keys.window": ("Window",),
    "engine.model": ("Entity", "Progress", "Status"),
    "engine.planning.plan": ("Plan",),
    "engine.planning.planner": ("load_plan", "plan_ranges"),
    "engine.planning.splitting": ("split_range",),
    "engine.report": ("RangeReport", "Report", "RunReport"),
    "engine.reporting.lookup": ("report_html",),
    "engine.running.run": ("conclude", "range_reports", "run", "run_range"),
    "engine.settings": ("Settings",),
    "engine.storing.mongo_writer": ("MongoWriter",),
    "engine.storing.target": ("Target", "target_of"),
    "engine.storing.writer": ("JsonLinesWriter", "Writer"),
    "engine.settings.tuning": ("Tuning",),
}
_MODULES = {name: module for module, names in _PUBLIC.items() for name in names}

__all__ = sorted(_MODULES)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    """Imports a public name at its first use, and keeps it as an attribute of the package."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    """The public names, whether they have been loaded yet or not, and the other attributes of the package."""
    return sorted({*globals(), *__all__})
