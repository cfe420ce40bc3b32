"""Mails: written with the standard library, sent over SMTP to the demonstration's own server."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from contextlib import contextmanager
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import localtime
from queue import Empty, LifoQueue

from dray.demo import settings

DOMAIN = "dray.demo"
SENDER = Address("Dray demo", "hello", DOMAIN)
TEAM = Address("The team", "team", DOMAIN)


def compose(purpose: str, to: Address, subject: str, text: str) -> EmailMessage:
    """A mail whose Message-ID is made from its purpose, such as `welcome.17`: sent twice, it is still the same mail."""
    message = EmailMessage()
    message["Message-ID"] = f"<{purpose}@{DOMAIN}>"
    message["Date"] = localtime()
    message["From"], message["To"], message["Subject"] = SENDER, to, subject
    message.set_content(text)
    return message


def address(name: str, email: str) -> Address:
    return Address(name, addr_spec=email)


def welcome(user_id: int, name: str, email: str) -> EmailMessage:
    text = f"Dear {name},\n\nwelcome! Your profile report and your pictures are being made.\n\nThe Dray demo\n"
    return compose(f"welcome.{user_id}", address(name, email), f"Welcome, {name}", text)


def newsletter(issue: int, subscriber_id: int, name: str, email: str) -> EmailMessage:
    text = f"Dear {name},\n\nthis is issue {issue}. Two thousand of these were enqueued in one go.\n\nThe Dray demo\n"
    return compose(f"newsletter.{issue}.{subscriber_id}", address(name, email), f"Newsletter, issue {issue}", text)


def weekly(year: int, week: int, pdf: bytes) -> EmailMessage:
    message = compose(f"weekly.{year}-{week:02}", TEAM, f"The week {week} of {year}", "The report is attached.\n")
    message.add_attachment(pdf, "application", "pdf", filename=f"week-{year}-{week:02}.pdf")
    return message


class Mailer:
    """Connections to the SMTP server that threads borrow, one mail at a time, and use again."""

    def __init__(self, port: int | None = None) -> None:
        self.port = port or settings.smtp_port()
        self._idle: LifoQueue[smtplib.SMTP] = LifoQueue()

    def send(self, message: EmailMessage) -> None:
        """Hand the mail to the server. Raises `smtplib.SMTPException` or OSError if it did not accept it."""
        with self._connection() as smtp:
            smtp.send_message(message)

    def close(self) -> None:
        """Say goodbye on all idle connections."""
        while True:
            try:
                smtp = self._idle.get_nowait()
            except Empty:
                return
            smtp.close()

    @contextmanager
    def _connection(self) -> Iterator[smtplib.SMTP]:
        try:
            smtp = self._idle.get_nowait()
        except Empty:
            smtp = smtplib.SMTP(settings.HOST, self.port, local_hostname="localhost", timeout=10)
        try:
            yield smtp
        except BaseException:
            smtp.close()
            raise
        self._idle.put(smtp)


def send(message: EmailMessage) -> None:
    """Hand one mail to the server on a connection of its own."""
    mailer = Mailer()
    try:
        mailer.send(message)
    finally:
        mailer.close()
