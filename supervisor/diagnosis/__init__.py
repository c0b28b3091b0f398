"""Why a process did not stop: from what was seen of it shortly before its deadline to words. Pure.

``posix.sight`` sees, in a process of its own beside the keeper; here is what that means for whoever has to read it.
``records`` has what goes in and what comes out, ``causes`` the judgement of one process, ``waits`` what a process
that has the signal still waits for, ``advice`` what would help, ``blame`` who of several is most to blame.
"""

from .blame import diagnose, summarize
from .records import Finding, Kind, Sight, signal_name

__all__ = ["Finding", "Kind", "Sight", "diagnose", "signal_name", "summarize"]
