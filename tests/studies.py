"""What tests share: small studies with quiet settings, and where this project lies."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
"""The project's folder."""
