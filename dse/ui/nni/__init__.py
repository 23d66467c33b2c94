"""NNI's web UI over a run: a real experiment that shows every trial, while Ray executes them.

    driver ── observer.py ─> spool folder ──> advisor.py, in NNI's experiment ──> relay.py, one small process per trial
                 └─ starts server.py, which starts the experiment

The study is the record; this is a view of it that is made anew each time and thrown away. So the search needs nothing
of it, and survives its death. One file per trial lies in the spool folder, `<number>.jsonl`: a first line with what was
proposed, a line for every epoch, a last line with how it ended.
"""
