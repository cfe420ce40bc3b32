"""The shortest whole program: a task, a job, a worker, a result.

    python hello.py           everything in one process
    dray worker hello.py      the worker as a process of its own, for jobs that others enqueue
"""

from dray import Dray

app = Dray()


@app.task
def hello(name: str) -> str:
    return f"Hello, {name}!"


if __name__ == "__main__":
    with app.worker():
        print(hello.enqueue("world").result(timeout=5))
