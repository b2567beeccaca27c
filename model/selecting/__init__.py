"""Choosing training questions by their influence on questions of another data set: `rsvqa select`.

`sketch.py` projects gradients, `gradients.py` takes them of one question at a time, `rows.py` keeps what was computed,
`ranking.py` turns rows into scores and ranks, `selecting.py` is the run, `selection_report.py` what it tells.
"""
