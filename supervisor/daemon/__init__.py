"""The only place where things are constructed: ``supervisor agent`` becomes the keeper, the keeper starts the agent.

``start``     in the process that the user started: settings, lock, socket, then exec of the keeper
``doors``     who may come in where: the listening sockets and their guards
``__main__``  what the keeper starts, again and again if need be: the agent
``prove``     whether this version could take over from the one that runs
"""

from .start import start

__all__ = ["start"]
