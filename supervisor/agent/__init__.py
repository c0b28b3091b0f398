"""The agent: every decision, and the record. It may crash at any moment; what it had acknowledged is kept.

``link``      frames to and from the keeper
``engine``    the one writer: event → ``lifecycle.step`` → commit → effects
``spawning``  a container's definition as the keeper's ``Spawn``
``events``    the keeper's events as the lifecycle's; a task's changes as log lines and as entries of the journal
``journal``   the journal, read and followed
``draft``     changes on their way to a commit
``world``     what every operation stands on
``service``   the ECS operations on tasks; with ``definitions``, ``clusters``, ``instances`` and ``tags`` all of them
``placement`` whether the host has room for a task
``inside``    what the processes of a task may ask; ``usage``, what they use; ``protection``, who is to be left alone
``drain``     the end of the host's day; ``history``, the end of old records
``upgrade``   makes way for another version
"""
