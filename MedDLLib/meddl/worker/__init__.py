"""A warm worker process: long computations run there, the caller stays alive.

    from meddl.worker import Worker
    worker = Worker()
    job = worker.submit("meddl.segmentation:segment", volume, model="brain")
    while not job.done:
        job.poll()                      # never blocks; from a timer in a user interface
        fraction, message = job.progress
                                        # with submit(..., previews=True) also job.preview
    segmentation = job.result()         # or the error that the computation raised

Files: `client` (Worker), `job` (Job), `process` (launching and killing), `messages` (pickle with its large
parts in shared memory), `blocks` (shared memory), `previews`, `server` and `entry` (the other side), `targets`
(what may run), `limits` (time and memory of a task), `failures`. This side imports the standard library and
numpy alone.
"""

from meddl.worker.client import Worker
from meddl.worker.job import Job

__all__ = ["Job", "Worker"]
