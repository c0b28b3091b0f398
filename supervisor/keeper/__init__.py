"""The keeper: forks, signals, reaps, and owns every stop deadline. Standard library only.

What can fail (HTTP, JSON of strangers, SQL) is the agent's; what may not fail is here, and small:

``loop``          one wait for everything: exits before deadlines before requests
``run``           one run of one container: its processes, its plan (``supervisor.stopping``), its events
``forking``       how a run begins; ``helpers``, what runs beside one: health checks, the pre-stop command
``look``          what is left of a run shortly before its deadline, seen by a child
``tracking``      which processes belong to a run: by cgroup, or by descent
``agenda``        what is due when; ``poller``, one wait for all descriptors
``limits``        where cgroups can limit what runs use
``child``         between fork and exec
``verbs``         the closed table of what an agent may ask
``proof``         whether the installed version could take over; ``upgrade``, how it does
``agent_process`` the agent as our child: started, started again
``watchdog``      who has to give a sign of life by when
``fd_store``      pidfds that systemd keeps for the keeper after us
``socket_file``   sees to it that the supervisor can be reached
``settings``      the few things that the keeper needs to know; ``report``, its log lines
"""
