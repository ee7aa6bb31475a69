"""The workers of an archive on many machines, by Ray: one for each GPU, or for each group of cores where there is none.

The machine that runs the command reads the source, keeps the journal and writes what comes back; workers read and
write through folders that every machine sees under the same path. A film is taken into parts where workers would be
idle otherwise. What a lost machine had begun goes to others: a photo from its start, a film or a part of one from its
last finished segment.
"""

from vidcolor.cluster.actor import Work
from vidcolor.cluster.batches import cluster_workers
from vidcolor.cluster.session import check_installed, connected
from vidcolor.cluster.workers import ClusterWorkers

__all__ = ["ClusterWorkers", "Work", "check_installed", "cluster_workers", "connected"]
