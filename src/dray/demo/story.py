"""The story, act by act."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import datetime
from typing import Any

from dray.demo import check, db, drive, mailbox, migration, processes, settings, states, works
from dray.demo.drive import Measured
from dray.demo.screen import InVain, Screen
from dray.demo.services import Services, failed

JOBS_EACH = 5  # that a sign-up in the background makes


class Story:
    """What is running, what was measured and what was found."""

    def __init__(self, services: Services, visitors: int, requests: int) -> None:
        self.screen = Screen()
        self.services = services
        self.visitors = visitors
        self.requests = requests
        self.audit = check.Audit()
        self.runs: list[Measured] = []
        self.kills: list[str] = []
        self.began = time.monotonic()

    def open(self, port: int, seed: int) -> None:
        self.screen.section("The stage", "Real protocols on this machine: nothing is imitated.")
        began = time.monotonic()
        db.create()
        states.prepare()
        self.mailbox, self.partner = self.services.mailbox(), self.services.partner(seed)
        self.web = self.services.web(port)
        self.site = f"http://{settings.HOST}:{self.web.port}"
        self.screen.say(f"SMTP server   {settings.HOST}:{self.mailbox.port}, files each mail it accepts")
        self.screen.say(f"Partner API   {settings.partner_url()}, 150-600 ms, answers 503 one time in four")
        self.screen.say(f"Web site      {self.site}")
        self.screen.say(f"Database      {settings.database()}, the site's tables and Dray's")
        self.screen.say(f"ready after {time.monotonic() - began:.1f} s")

    def inline(self) -> None:
        self.screen.section(
            f"{self.requests} sign-ups inline", "Record, mail, report, pictures and partner, all inside the request."
        )
        with self.screen.bar("sign-ups over", self.requests) as told:
            run = asyncio.run(drive.drive(self.site, "inline", self.visitors, self.requests, told))
        self.runs.append(run)
        with self.audit.guarded("inline: the site comes to rest"):
            over = asyncio.run(drive.settle(self.site))
            if run.timed_out:
                self.screen.say(f"{run.timed_out} visitors saw a gateway time-out; the site still did their work, for nobody")
                if over > 0.5:
                    self.screen.say(f"the last of it was done {over:.1f} s after the last visitor had gone")
        check.sign_ups(self.audit, "inline", run.answered)

    def background(self) -> None:
        self.screen.section(
            f"{self.requests} sign-ups in the background",
            f"The record and {JOBS_EACH} jobs in one transaction; a worker does the rest. In the middle it is killed.",
        )
        self.worker = self.services.worker()
        self.screen.wait("workers ready", 1, self.ready, 30)
        middle, over = threading.Event(), threading.Event()
        killer = threading.Thread(target=self.kill_child, args=(middle, over))
        killer.start()
        try:
            with self.screen.bar("sign-ups over", self.requests) as told:

                def count(done: int) -> None:
                    told(done)
                    if done >= self.requests // 3:
                        middle.set()

                run = asyncio.run(drive.drive(self.site, "background", self.visitors, self.requests, count))
        finally:
            middle.set()
            over.set()
            killer.join()
        self.runs.append(run)
        for kill in self.kills:
            self.screen.say(f"kill -9 for the worker's child: {kill}")
        total = len(run.answered) * JOBS_EACH
        took = self.screen.wait("jobs succeeded", total, lambda: states.counts().get("succeeded", 0))
        self.screen.verdict(True, f"all {total:,} jobs succeeded, {took:.1f} s after the last visitor had gone")
        self.audit.expect("kill -9 of the worker's child", bool(self.kills), "; ".join(self.kills) or "it was not there")
        self.nothing_lost(run)
        check.sign_ups(self.audit, "background", run.answered)
        check.exact_count(self.audit)

    def ready(self) -> int:
        if not self.worker.alive:
            raise failed("worker")
        return len(states.children())

    def kill_child(self, middle: threading.Event, over: threading.Event) -> None:
        """kill -9 for the process that runs the jobs: in the middle of the run, when it has done some and holds others.

        Should it be too fast for that (a run of a few requests), it is killed when it has nothing left to do.
        """
        middle.wait()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            counts, pids = states.counts(), states.children()
            done, held = counts.get("succeeded", 0), counts.get("running", 0)
            if pids and ((done and held) or (over.is_set() and done == sum(counts.values()))):
                processes.kill(*(pid for child in pids for pid in (child, *processes.below(child))))
                self.kills.append(f"process {pids[0]} had done {done} jobs and held {held} others")
                return
            time.sleep(0.005)

    def nothing_lost(self, run: Measured) -> None:
        made = [job for user in run.answered for job in db.jobs_of(user).values()]
        ended = [states.of_job("", job) for job in made]
        good = sum(job.state == "succeeded" for job in ended)
        killed, again = sum(job.losses > 0 for job in ended), sum(job.attempt > 1 for job in ended)
        seen = f"{good:,} of {len(made):,} jobs succeeded, {killed} were cut off by the kill, {again} tried again"
        right = good == len(made) == JOBS_EACH * len(run.answered) > 0
        self.audit.expect("background: nothing lost", right, seen)

    def table(self) -> None:
        self.screen.section("The comparison")
        self.screen.console.print(drive.table(self.runs))
        self.screen.say("[dim]requests/s counts what was answered in time; a request cut off counts as 2 s.[/]")
        for run in self.runs:
            wrong = run.errors or (run.mode == "background" and run.timed_out)
            seen = f"{len(run.answered)} of {run.requests} answered" + (f"; {run.errors[0]}" if run.errors else "")
            self.audit.expect(f"{run.mode}: no errors", not wrong, seen)

    def larger_works(self) -> None:
        self.screen.section(
            "Larger works, and a worker that is killed altogether",
            f"A migration of {db.LEGACY_ROWS:,} rows, a film, and a newsletter to {db.SUBSCRIBERS:,} readers.",
        )
        self.move, self.film = works.start_migration(), works.start_video()
        self.screen.wait("rows moved before the kill", db.LEGACY_ROWS * 3 // 10, self.moved, 60)
        killed = self.worker.kill_all()
        at, died = self.moved(), time.monotonic()
        state = states.of_job("migration", self.move).state
        self.screen.say(f"kill -9 for all {killed} processes of the worker, its supervisor too, at row {at:,} ({state})")
        self.worker = self.services.worker()
        began = time.perf_counter()
        with self.screen.bar("newsletters enqueued", db.SUBSCRIBERS) as told:
            issue = works.start_newsletter(told)
        took = time.perf_counter() - began
        self.screen.say(f"{db.SUBSCRIBERS:,} jobs enqueued in {took * 1000:,.0f} ms; a new worker sends them meanwhile")
        self.screen.wait("newsletters received", db.SUBSCRIBERS, lambda: newsletters(issue))
        self.screen.wait("rows moved", db.LEGACY_ROWS, self.moved)
        self.screen.wait("works ended", 2, lambda: sum(states.of_job("", job).final for job in (self.move, self.film)))
        took = time.monotonic() - died
        whole = self.moved() == db.LEGACY_ROWS
        self.screen.verdict(whole, f"the migration went on at row {at:,} and was over {took:.1f} s after the kill")
        check.migrated(self.audit, starts=2)
        check.film(self.audit)
        check.newsletter(self.audit, issue)

    def moved(self) -> int:
        with db.connect() as connection:
            return migration.standing(connection).cursor

    def schedules(self) -> None:
        self.screen.section("Schedules", "They fire by themselves; one is run by hand here.")
        listed = states.schedules()
        for name, (text, due) in sorted(listed.items()):
            self.screen.say(f"{name}: {text}, next {due:%A %d %B %Y %H:%M %Z}")
        weekly = states.run_now("weekly_report")
        cleaner = works.start_clean()
        self.screen.wait("works ended", 2, lambda: sum(states.of_job("", job).final for job in (weekly, cleaner)), 30)
        monday = next((due for name, (_, due) in listed.items() if name.endswith("weekly_report")), None)
        seen = f"weekly_report is next due on {monday:%A %d %B %Y at %H:%M %Z}" if monday else "it is not listed"
        self.audit.expect("schedule", monday_at_seven(monday), seen)
        check.weekly(self.audit)
        check.cleaned(self.audit)

    def close(self) -> int:
        """Look at the partner's books and at the whole store, and say how it went."""
        import httpx

        with self.audit.guarded("partner"):
            books: dict[str, Any] = httpx.get(f"{settings.partner_url()}/customers", trust_env=False).json()
            told = {number for run in self.runs for number in run.answered}
            users = [user for user in db.users() if user.id in told]
            check.partner(self.audit, users, books["accepted"], books["refused"], books["replayed"])
        counts = states.counts()
        seen = ", ".join(f"{number:,} {state}" for state, number in sorted(counts.items()) if number)
        self.audit.expect("all jobs", sum(counts.values()) == counts.get("succeeded", 0), seen)
        self.screen.section("What the auditor found")
        for finding in self.audit.findings:
            self.screen.verdict(finding.right, f"{finding.subject}: {finding.seen}")
        wrong = len(self.audit.wrong)
        self.screen.console.print()
        all_of_it = len(self.audit.findings)
        verdict = f"{wrong} of {all_of_it} results are wrong" if wrong else f"All {all_of_it} results are right"
        self.screen.verdict(not wrong, f"[bold]{verdict}[/], after {time.monotonic() - self.began:.0f} s")
        return int(bool(wrong))

    def stay(self) -> None:
        """Keep the site up, and a worker, until somebody presses Ctrl-C: then it ends in the ordinary way."""
        url = f"DRAY_URL={settings.store_url()}"
        self.screen.section("Now it is your turn", "Ctrl-C ends it.")
        self.screen.say(f"Open          [bold]{self.site}[/]: sign up both ways, read the mails, start the larger works")
        self.screen.say(f"Look          {url} dray status")
        self.screen.say(f"Kill          kill -9 {self.worker.process.pid}: a new worker is started, nothing is lost")
        try:
            while True:
                time.sleep(0.5)
                if not self.worker.alive:
                    self.worker = self.services.worker()
                    self.screen.say(f"the worker has died; a new one is started: {self.worker.process.pid}")
        except KeyboardInterrupt:
            self.screen.say("everything is being stopped")


def newsletters(issue: int) -> int:
    return len(mailbox.received(settings.folder("mail"), f"newsletter.{issue}."))


def monday_at_seven(due: datetime | None) -> bool:
    return due is not None and (due.weekday(), due.hour, due.minute) == (0, 7, 0)


def tell(once: bool, visitors: int, requests: int, port: int, seed: int) -> int:
    """Run the whole; without `once`, only the comparison, and then the site stays up. Gives the exit code."""
    with Services() as services:
        story = Story(services, visitors, requests)
        story.open(port, seed)
        try:
            story.inline()
            story.background()
            story.table()
            if once:
                story.larger_works()
                story.schedules()
        except InVain as error:
            story.audit.expect("the story", False, f"{error}; the logs are in {settings.folder('logs')}")
        code = story.close()
        if not (once or code):
            story.stay()
        return code
