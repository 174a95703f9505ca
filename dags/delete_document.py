"""
### Deletion of documents

Carries out all requests `DELETE /stage4/api/v1/documents/<id>`. A request starts it, and every hour
it looks for missed requests. The request itself hides the document; this DAG removes the rest.

| task | does |
|---|---|
| `start` | writes the tombstones for the steps; skips the rest if no document is to be deleted |
| `redact_<level>` | removes the documents from the workspace: complete runs get new artefacts without them, unfinished ones start again with `snapshot` |
| `reload_<level>` | loads these runs again, rewrites the JSONL, and moves readers to the published run without the documents |
| `close` | waits until the old rows are removed, clears the cache, closes the audit (`stage4.deletions`) |
| `notify_stage5` | sends Stage 5 the changed and the removed clusters |
| `write_back` | writes the clusters to the tables that the published runs were read from |

Safe to repeat, and to run twice. It needs `STAGE4_DELETION_SECRET`, the same as the API server has.
"""  # noqa: E501 - a row of a table

from stage4.dag_factory import delete_document_dag

# The scheduler reads only files in which both "airflow" and "dag" occur (safe mode).
delete_document = delete_document_dag(__doc__)
