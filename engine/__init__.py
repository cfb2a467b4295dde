"""Keyset-paginated asynchronous batch extraction from MongoDB, with proof that nothing was lost."""

from engine.checking.repair import repair
from engine.checking.replay import replay
from engine.checking.verify import Verification, verify
from engine.errors import (
    ConfigError,
    EngineError,
    ExtractionError,
    Failure,
    Interrupted,
    PlanError,
    SourceError,
    WriteError,
)
from engine.extractors.extractor import Extractor
from engine.extractors.http_extractor import HttpExtractor
from engine.keys.key import Key, KeyRange
from engine.keys.window import Window
from engine.model import Entity, Progress, Status
from engine.planning.plan import Plan
from engine.planning.splitting import split_range
from engine.report import Report
from engine.reporting.lookup import report_html
from engine.running.pipeline import run_range
from engine.running.run import conclude, load_plan, plan_ranges, range_reports, run
from engine.settings import Settings
from engine.storing.mongo_writer import MongoWriter
from engine.storing.writer import JsonLinesWriter, Writer

__all__ = [
    "ConfigError",
    "EngineError",
    "Entity",
    "ExtractionError",
    "Extractor",
    "Failure",
    "HttpExtractor",
    "Interrupted",
    "JsonLinesWriter",
    "Key",
    "KeyRange",
    "MongoWriter",
    "Plan",
    "PlanError",
    "Progress",
    "Report",
    "Settings",
    "SourceError",
    "Status",
    "Verification",
    "Window",
    "WriteError",
    "Writer",
    "conclude",
    "load_plan",
    "plan_ranges",
    "range_reports",
    "repair",
    "replay",
    "report_html",
    "run",
    "run_range",
    "split_range",
    "verify",
]
