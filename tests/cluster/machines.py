"""Real Ray clusters of several machines, all of them here, in processes of their own."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

SECONDS = 800
"""Ray starts in 5 s on an idle machine, and in minutes on a busy one."""
CLUSTER = """
import sys
from ray.cluster_utils import Cluster

cluster = Cluster()
gpus, *processors = map(int, sys.argv[1:])
machines = [
    cluster.add_node(num_cpus=count, num_gpus=gpus, object_store_memory=80 * 2**20, include_dashboard=False)
    for count in processors
]
print(cluster.address, flush=True)
for _ in sys.stdin:
    cluster.remove_node(machines.pop(), allow_graceful=False)
cluster.shutdown()
"""
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_TOKEN": "0" * 64,  # else Ray makes one in the user's home
    "RAY_worker_niceness": "0",
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_health_check_initial_delay_ms": "0",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_failure_threshold": "3",
}


@contextmanager
def local_cluster(*numbers: int) -> Iterator[tuple[str, Callable[[], None]]]:
    """Give the address of a cluster and what takes its last machine away. numbers: GPUs of a machine, and the
    processors of each."""
    with TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as folder:
        environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
        cluster = subprocess.Popen(
            [sys.executable, "-c", CLUSTER, *map(str, numbers)],
            env=environment | {"RAY_TMPDIR": folder},
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert cluster.stdin is not None
        assert cluster.stdout is not None
        stdin = cluster.stdin

        def lose_one() -> None:
            stdin.write("\n")
            stdin.flush()

        try:
            address = next(line for line in cluster.stdout if ":" in line).strip()
            yield address, lose_one
        finally:
            stdin.close()
            cluster.wait(SECONDS)
            cluster.stdout.close()
