"""A group's scaling history: activities that begin, and end well or not."""

from __future__ import annotations

from invar.localcloud.autoscaling_records import Activity, Group, new_activity_id

MOST_ACTIVITIES = 1000


def begin_activity(group: Group, description: str, cause: str, now: float) -> Activity:
    """Write down something that begins; the oldest entries go."""
    activity = Activity(new_activity_id(), description, cause, now)
    group.activities.append(activity)
    del group.activities[:-MOST_ACTIVITIES]
    return activity


def end_activity(
    group: Group, identity: str, now: float, status: str | None = None, message: str | None = None
) -> None:
    """Write down that it is over, unless it was already. `status` None: it went well."""
    for activity in reversed(group.activities):
        if activity.id == identity:
            if activity.end is None:
                activity.end, activity.message = now, message
                activity.status, activity.progress = status or "Successful", 100
            return
