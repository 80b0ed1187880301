"""Find metrics in a job's log with regular expressions, which may be anybody's and must not hang the driver."""

from byohpo_core.metrics.definitions import as_float32, compile_metrics, default_regex
from byohpo_core.metrics.matching import TooSlow, end_helper, spans
from byohpo_core.metrics.scanner import MetricScanner

__all__ = ["MetricScanner", "TooSlow", "as_float32", "compile_metrics", "default_regex", "end_helper", "spans"]
