"""graceful-supervisor: runs tasks of OS processes and stops them properly.

Two processes: the *keeper* (``supervisor.keeper``) forks, signals and reaps, and owns every stop deadline; the
*agent* (``supervisor.agent``) decides, records and serves the ECS API. Imports go down only, floor by floor:

====== ============================================================ =======================================
floor  modules                                                      may touch
====== ============================================================ =======================================
5      ``cli``, ``daemon``                                          people; the wiring of it all
4      ``api``                                                      HTTP on sockets that it is handed
3      ``agent``                                                    one writer: decide, save, do
2      ``keeper``                                                   fork, signal, reap
1      ``posix`` ``procinfo`` ``store`` ``config`` ``clock`` ``log`` one outside thing each
0      ``errors`` ``model`` ``lifecycle`` ``stopping`` ``recovery`` nothing outside
       ``health`` ``wire`` ``shapes``
====== ============================================================ =======================================
"""

__version__ = "0.1.0"
