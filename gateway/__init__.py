"""Who asks, how much, and how it is answered; what an answer means is ``schema``'s, and how it is fetched ``db``'s.

``app`` puts the rooms together; ``settings``, ``context`` and ``database`` are what all of them may use.
"""
