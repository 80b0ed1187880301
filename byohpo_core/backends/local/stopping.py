"""Stop the jobs of a study whose journal may be anybody's: start nothing, and write nothing but the sign to stop."""

from collections.abc import Sequence

from byohpo_core.backends.local.backend import LocalBackend
from byohpo_core.backendspecs import Ended, Outcome, Update
from byohpo_core.study.trial import Trial


class StoppingBackend(LocalBackend):
    """Ends jobs. One without a supervisor ends at once: if a supervisor is on its way, it finds the sign to stop."""

    def launch(self, trials: Sequence[Trial]) -> None:
        """Start nothing."""

    def adopt(self, trials: Sequence[Trial]) -> Sequence[Update]:
        updates: list[Update] = []
        for trial in trials:
            if self._has_folder(trial) and self._job(trial).is_claimed:
                self._watch(trial)
            else:
                updates.append(Ended(str(trial.job_name), Outcome.Stopped, reason="it was stopped before it began"))
        return updates

    def stop(self, trials: Sequence[Trial]) -> None:
        super().stop([trial for trial in trials if self._has_folder(trial)])

    def _has_folder(self, trial: Trial) -> bool:
        """Whether the job has a folder, which is created before its supervisor; a link leads to a stranger's."""
        folder = self._job(trial).folder
        return folder.is_dir() and not folder.is_symlink()
