"""The record of tasks, definitions, clusters and the host.

``records``     what is kept and how it is asked for
``connection``  one SQLite connection, and its errors in our words
``damage``      a database that cannot be trusted: how it is known, and where it is kept
"""

from .damage import set_aside
from .records import MIGRATIONS, JournalEntry, Kept, Resource, Store, examine

__all__ = ["MIGRATIONS", "JournalEntry", "Kept", "Resource", "Store", "examine", "set_aside"]
