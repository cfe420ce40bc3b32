"""The demonstration: a sign-up with a mail, a report, pictures and a slow partner, done inline and in the background.

One file, one trade. `main` reads the arguments and `story` tells what happens, act by act. `services` starts the
processes: `mailbox` (an SMTP server), `partner` (a slow and flaky API), `web` (the site) and Dray's own worker.
`jobs` holds the tasks; what they do stands in `mail`, `report`, `pictures`, `video`, `migration` and `partner_api`.
`db` is the application's part of the SQLite file, `drive` the visitors, `check` the auditor. Needs the extra `demo`.
"""
