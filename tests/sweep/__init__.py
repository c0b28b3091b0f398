"""A crash sweep: kill -9 at every step of the protocol and of the store, and what must be so after each.

``points``              the numbered points, and the kill at the one that was chosen
``agent``, ``keeper``   the real ones, started with points around each step; ``start`` is ``supervisor agent``
``life.sh``             what the tasks run
``story``               the requests of a client, in an order that the seed says
``observer``            what really happens: init of the little world, by pidfds and by what the processes say
``verdict``             the records against what really happened
``point``               one point: a world, its story, its end, its verdict
``__main__``            all of them: ``make sweep``
"""
