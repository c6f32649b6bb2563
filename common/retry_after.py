"""The header Retry-After, as HTTP servers say it."""

from email.utils import parsedate_to_datetime


def retry_after(said: str, date: str) -> float | None:
    """Seconds from now, of a Retry-After in either of its forms; None: it says nothing.

    A point in time is by the clock of the server, which its Date tells.
    """
    text = said.strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    try:
        wait = parsedate_to_datetime(text).timestamp() - parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None
    return max(0.0, wait)
