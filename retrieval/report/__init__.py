"""Evaluations, telemetry and ledgers in; one web page, a Markdown summary, figures and tables out.

arms.py      what a caller names: arms and where their files are
inputs.py    files of the arms -> checked results
measures.py  estimates -> text, and which of them are best or not distinguishable from the best
tables.py    results -> tables, each ready for the page, Markdown and CSV
robustness_tables.py, speed_table.py, training_tables.py   more of them, by what they are about
charts.py    results -> figures; figures.py draws them, svg.py makes them fit for a page
findings.py  results -> what they show and do not show, in sentences
page.py, markdown.py, console.py, write.py   all of it -> files, or a table on the terminal
"""

from retrieval.report.arms import Arm
from retrieval.report.console import console_table
from retrieval.report.write import ReportFiles, write_report

__all__ = ["Arm", "ReportFiles", "console_table", "write_report"]
