"""The only place that says fork, exec, kill, wait, pidfd, prctl, cgroup: the kernel, without policy.

``process`` has processes and signals, ``proc`` what ``/proc`` tells of them, ``sight`` what it tells of one that does
not stop (with ``sockets`` and ``syscalls``), ``cgroup`` the cgroup v2 tree, ``service`` what the one who started us
expects (sd_notify, sockets, standard error; ``journal``, journald behind that), ``files`` and ``inotify`` what is asked
of files that others write.

Standard library only, since the keeper stands on it. Errors are ``OSError`` as the kernel gives them.
"""
