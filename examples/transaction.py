"""Your transaction, and exactly-once effects, on one SQLite file that holds your tables and the jobs.

    python transaction.py
"""

import sqlite3

from dray import Dray, JobFailed

FILE = "shop.db"
app = Dray(f"sqlite:///{FILE}")


def connect() -> sqlite3.Connection:
    connection = sqlite3.connect(FILE)
    connection.execute("create table if not exists account (id integer primary key, name text, balance integer)")
    connection.commit()
    return connection


@app.task
def welcome(account_id: int) -> str:
    (name,) = connect().execute("select name from account where id = ?", (account_id,)).fetchone()
    return f"welcome, {name}"


@app.task(transactional=True, give_up_on=(ValueError,))
def pay(account_id: int, amount: int, db: sqlite3.Connection) -> int:
    """What it writes and "succeeded" are one commit: it is paid exactly once, whatever dies when."""
    db.execute("update account set balance = balance - ? where id = ?", (amount, account_id))
    (left,) = db.execute("select balance from account where id = ?", (account_id,)).fetchone()
    if left < 0:
        raise ValueError("not enough money")
    return int(left)


def sign_up(db: sqlite3.Connection, name: str, *, fail: bool = False) -> str:
    """The account and the job that welcomes its owner: both exist, or neither."""
    with app.bind(db), db:
        cursor = db.execute("insert into account (name, balance) values (?, 100)", (name,))
        assert cursor.lastrowid is not None
        job = welcome.enqueue(cursor.lastrowid)
        if fail:
            raise RuntimeError("the sign-up is called off")
    return job.result(timeout=5)


def main() -> None:
    db = connect()
    with app.worker():
        print("committed:", sign_up(db, "Ada"))
        try:
            sign_up(db, "Bob", fail=True)
        except RuntimeError:
            users = db.execute("select count(*) from account").fetchone()[0]
            jobs = len(app.insight.jobs("task:*welcome").jobs)
            print(f"rolled back: {users} user, {jobs} job")

        print(f"paid, {pay.enqueue(1, 30).result(timeout=5)} left")
        try:
            pay.enqueue(1, 500).result(timeout=5)
        except JobFailed:
            print(f"refused, still {db.execute('select balance from account').fetchone()[0]} left")


if __name__ == "__main__":
    main()
