"""The names by which Kueue manages plain pods: https://kueue.sigs.k8s.io/docs/tasks/run/plain_pods/."""

from __future__ import annotations

from typing import Final

GROUP_LABEL: Final = "kueue.x-k8s.io/pod-group-name"
"""Also the name of the Workload that Kueue makes for the group."""
TOTAL_ANNOTATION: Final = "kueue.x-k8s.io/pod-group-total-count"
ADMISSION_GATE: Final = "kueue.x-k8s.io/admission"
"""The scheduling gate that Kueue's webhook puts on a pod, and takes away when the quota suffices for its group."""
