"""A study's trials, values and analysis in; a page that says which mix is best for what, and how sure that is, out.

naming.py      arms, measures and conditions -> names and colours that are the same everywhere
inputs.py      the caller's tables -> checked, arranged for figures
claims.py      analysis -> whether the paper's order holds
findings.py    analysis -> what it shows and does not show, in sentences
tables.py, model_tables.py    analysis -> tables
drawing.py, plot_drawing.py, row_drawing.py    numbers -> drawn figures
charts.py, surface_charts.py, pair_maps.py, costs.py     analysis -> figures, each with what is drawn as CSV
contents.py, write.py         all of it -> files
comparison.py  two analyses -> one page

docs/report.md is for readers of the page, docs/studies-analysis.md explains the figures.
"""

from retrieval.report.study.write import write_study_comparison, write_study_report

__all__ = ["write_study_comparison", "write_study_report"]
