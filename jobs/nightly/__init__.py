"""A run every night, judged against the last good one.

config.py     what a night does, and when it counts as worse
revision.py   what the code is tonight
schedule.py   which night this is, decided once
verdict.py    paired tests -> findings -> an outcome
words.py      a verdict in Markdown, and for a terminal
webhook.py    a verdict to whoever wants to know
night.py      all of it, once, however often it is started
"""
