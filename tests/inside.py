"""The parts of the core that its tests look into. All else is reached by public names."""

from byohpo_core import secrets
from byohpo_core.backends import estimators, simulated
from byohpo_core.backends.local import job, watch
from byohpo_core.cli import tomlfile
from byohpo_core.driving import (
    backoff,
    budget,
    driver,
    fence,
    manifest,
    next_step,
    order,
    policy,
    session,
    stop_request,
    trust,
    verdicts,
)
from byohpo_core.extensions import early_stopping, progress
from byohpo_core.journal import chain, place, repair, sqlite
from byohpo_core.results import table
from byohpo_core.study import events, fold
from byohpo_core.tuner import news, settings

__all__ = ["backoff", "budget", "events", "manifest", "news", "next_step", "order", "policy", "session"]
__all__ += ["stop_request", "trust", "verdicts"]

Driver = driver.Driver
Fence = fence.Fence
Fold = fold.Fold
Head, linked = chain.Head, chain.linked
Job = job.Job
Manifest = manifest.Manifest
Median = early_stopping.Median
News = news.News
Policy = policy.Policy
Progress = progress.Progress
SimulatedBackend = simulated.SimulatedBackend
SqliteLog = sqlite.SqliteLog
command, is_on_network = place.command, place.is_on_network
Secrets, is_secret = secrets.Secrets, secrets.is_secret
Watch = watch.Watch
as_csv, as_json, as_table, rows = table.as_csv, table.as_json, table.as_table, table.rows
prepare = settings.prepare
read = tomlfile.read
fetch_study = estimators.fetch_study
repair_journal = repair.repair
