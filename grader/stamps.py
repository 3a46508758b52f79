"""Moments as the progress database keeps them."""

from __future__ import annotations

from datetime import UTC, datetime


def stamp(at: datetime) -> str:
    """UTC in ISO 8601, always of the same length: stamps sort as the moments do."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds")


def moment(text: str | None) -> datetime | None:
    """The moment of a stamp; nothing for nothing."""
    return None if text is None else datetime.fromisoformat(text)
