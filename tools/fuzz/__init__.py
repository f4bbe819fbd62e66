"""Fuzzing of what happens in a worker: sniffing, decoding and preparing pictures and films, in one confined process.

parts      files as chunks, segments and boxes, and back, with right lengths and checksums
seeds      small good files of every format
mutations  a file → a damaged file
target     a file → how it ended, by the code that workers run
child      runs the target over and over, by atheris where there is one, else by a loop of its own
__main__   starts children, buries those that die, gives what they died of to real workers, prints
"""
