"""Queries in, the same queries as somebody else might type them out.

graphemes.py      what a reader takes for one character; no perturbation breaks one
keyboards.py      which keys are neighbours, by language
typing_noise.py   slips of the finger: neighbouring keys, doubled, lost and swapped characters
marks.py          without diacritics, all lower case, all upper case
variants.py       the other way of writing it that a language has: script, letter forms, digits
code_switching.py some words in another language, by a dictionary
primary.py        the part of a language code that rules are looked up by
names.py          their names, for configurations
perturbation.py   a perturbation by name, and its use: decided by seed and query id alone
"""
