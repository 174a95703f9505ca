"""The installation's language model, for runs that do not say whether it is to be asked."""

from clustering_tasks.settings.levels import Level
from clustering_tasks.settings.run import RunSettings, run_settings


def with_installed_llm(settings: RunSettings, level: Level, conn_id: str | None) -> RunSettings:
    """Write into a run's settings whether a language model is asked, which no step could know.

    Args:
        settings: of the run; those with `llm.labels` stay as they are.
        level: of the run; entities have their names for labels.
        conn_id: STAGE4_LLM_CONN_ID; None: there is no model.
    """
    if conn_id is None or settings.llm.labels is not None or level.name == "entities":
        return settings
    return run_settings(settings.model_dump(mode="json"), {"llm.labels": True})
