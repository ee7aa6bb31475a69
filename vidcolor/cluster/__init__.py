"""Workers of a batch on many machines, by Ray: one for each GPU, or for each group of cores where there is none.

The machine that runs the command reads the source, keeps the journal and writes what comes back; workers read and
write through folders that every machine sees under the same path. A film is split into parts where workers would be
idle otherwise. Jobs of a lost machine go to others: a photo begins anew, a film or a part of one resumes after its last
finished segment.
"""

from vidcolor.cluster.actor import Work
from vidcolor.cluster.batches import cluster_workers
from vidcolor.cluster.session import check_installed, connect
from vidcolor.cluster.workers import ClusterWorkers

__all__ = ["ClusterWorkers", "Work", "check_installed", "cluster_workers", "connect"]
