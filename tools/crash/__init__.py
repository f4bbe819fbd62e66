"""Indexing runs that are killed, stopped, starved of room and cut off from power; see `../crash.py`, the command.

    corpus ──► bench: an undisturbed run ──► kill, stop, full, power, reading ──► checks ──► a tally each

`victim` is the process that is hurt: the command line, with a `witness`ed log of what it embedded and what it was told is stored.
`checks` compares what a file holds afterwards (`state`) with that log and with the undisturbed run. For power losses, `trace` makes
events of what strace saw, and `disk` makes of them what a disk may hold that keeps nothing but what was synchronised.
"""
