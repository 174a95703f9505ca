"""The installation's list of tags, for runs that have none of their own."""

from clustering_tasks.settings.run import RunSettings, run_settings
from clustering_tasks.settings.tag_list import read_tag_file


def with_installed_tags(settings: RunSettings, file: str | None) -> RunSettings:
    """Write the installation's tags into a run's settings, so that its report names them.

    Args:
        settings: of the run; those with `tags.listed` stay as they are.
        file: STAGE4_TAGS; None: the installation has no list.

    Raises:
        SettingsError: the file cannot be read, or a line of it is no tag.
    """
    if file is None or settings.tags.listed is not None:
        return settings
    listed = {"tags.listed": read_tag_file(file)}
    return run_settings(settings.model_dump(mode="json"), listed)
