"""Deleting a document: hidden by the request itself, carried out by the DAG `delete_document`.

| module | does |
| --- | --- |
| `requests.py` | enters a request, as a keyed hash alone, and hides the document in the same act |
| `hiding.py` | takes the document's rows out of all runs, blanks the clusters that held some |
| `mentions.py` | takes ids of its items out of what others say, in the published runs |
| `progress.py` | the DAG's beginning and end: which are due; no row and no kept answer is left |
| `replacing.py` | loads runs again from what `redact` made of them, and moves readers to them |
| `events.py` | what Stage 5 is told |
"""
