"""
### Deletion of documents

Carries out what `DELETE /stage4/api/v1/documents/<id>` asked for, all requests at once; that request
starts it, and it looks every hour for requests whose run never came. From the request on nobody sees
the document; here goes what is left of it.

| task | does |
|---|---|
| `begin` | gives the steps the tombstones; skips the rest when there is nothing to do |
| `redact_<level>` | takes the documents out of the workspace: complete runs get new artefacts without them, unfinished ones begin again with `snapshot` |
| `carry_out_<level>` | loads these runs again, rewrites the JSONL, and moves readers to the published run without the documents |
| `finish` | waits until the old rows are gone, clears the cache, closes the audit (`stage4.deletions`) |
| `notify_stage5` | tells Stage 5 which clusters have changed and which are gone |

Safe to repeat, and to run twice. It needs `STAGE4_DELETION_SECRET`, the same as the API server has.
"""  # noqa: E501 - a row of a table

from stage4.dag_factory import delete_document_dag

# The scheduler reads only files in which both "airflow" and "dag" occur (safe mode).
delete_document = delete_document_dag(__doc__)
