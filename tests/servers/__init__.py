"""Real servers, networks and faults for the tests: everything starts when a test asks and is gone when the tests are.

`session` keeps the account of what was started, so that a killed test run leaves nothing behind. What cannot be had on
a machine raises `Unavailable` with the reason; the fixtures in the root conftest.py turn that into a skip.
"""

from __future__ import annotations


class Unavailable(Exception):
    """This machine lacks what is needed; the text says what and how to get it."""


class ServerFailed(Exception):
    """A server that should run does not; the text ends with what its log says."""
