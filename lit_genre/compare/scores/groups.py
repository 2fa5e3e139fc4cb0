"""Group runs by their data: accuracies on different test tracks are never in one ranking."""

from dataclasses import dataclass, field

from lit_genre.runs.run import Run


@dataclass
class DataGroup:
    """Runs that were tested on the same tracks.

    Attributes:
        name: Name of the data, such as "FMA small".
        runs: The runs.
    """

    name: str
    runs: list[Run] = field(default_factory=list)

    @property
    def title(self) -> str:
        """Name of the data, with the numbers of test tracks and of their artists."""
        tested = max((run.predictions for run in self.runs), key=len)
        if tested.empty:
            return f"{self.name or 'data'}: no run is tested"
        artists: list[int] = tested["artist_id"].tolist() if len(tested) else []
        n_artists = len({artist for artist in artists if artist >= 0})
        of = f" by {n_artists:,} artists" if n_artists else ""
        return f"{self.name or 'data'}: {len(tested):,} test tracks{of}"


def group_by_data(runs: list[Run]) -> list[DataGroup]:
    """Group runs by their test tracks.

    A run belongs to a group if it shares at least half of its test tracks, with their genres, with the first run of the
    group: a few tracks may be excluded. A run without a test belongs to the first group with data of its name.

    Args:
        runs: The runs.

    Returns:
        The groups, in the order of their first runs. A run without a test and without such a group is in a group of its
        own.
    """
    groups: list[tuple[set[tuple[int, str]], DataGroup]] = []
    for run in sorted(runs, key=lambda run: run.predictions.empty):
        tracks = _tracks_of(run)
        for known, group in groups:
            if group.runs[0].task != run.task:
                continue
            if (tracks and 2 * len(tracks & known) >= len(tracks)) or (not tracks and group.name == run.data):
                group.runs.append(run)
                break
        else:
            groups.append((tracks, DataGroup(run.data, [run])))
    # In the order of the runs, which the first loop does not keep.
    position = {id(run): number for number, run in enumerate(runs)}
    for _, group in groups:
        group.runs.sort(key=lambda run: position[id(run)])
    return sorted((group for _, group in groups), key=lambda group: position[id(group.runs[0])])


def _tracks_of(run: Run) -> set[tuple[int, str]]:
    """Return the ids of the test tracks with their genres."""
    genres = {} if run.predictions.empty else run.predictions["genre"].to_dict()
    return {(int(str(track_id)), str(genre)) for track_id, genre in genres.items()}


def disambiguate_names(runs: list[Run]) -> None:
    """Rename runs that have the same name but other settings or test tracks, because they are not seeds of one model.

    Args:
        runs: All runs of a comparison; `Run.model` is changed.
    """
    kinds: dict[str, dict[tuple[str, str], list[Run]]] = {}
    for run in runs:
        of_name = kinds.setdefault(run.model, {})
        tested = run.predictions[["genre"]].to_csv() if len(run.predictions) else ""
        # A run without a test, such as one that failed, belongs to the first runs with the same settings.
        alike = (kind for kind in of_name if kind[0] == run.settings and (kind[1] == tested or not tested))
        of_name.setdefault(next(alike, (run.settings, tested)), []).append(run)
    for name, of_name in kinds.items():
        for alike_runs in of_name.values() if len(of_name) > 1 else ():
            folder = alike_runs[0].folder.resolve()
            # The folder of a run in a comparison does not distinguish it; that of the comparison does.
            where = folder.name if folder.name != f"{name}-seed{alike_runs[0].seed}" else folder.parents[1].name
            for run in alike_runs:
                for renamed in (run, *run.members):
                    renamed.model = f"{name} ({where})"
