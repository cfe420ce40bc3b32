"""The demonstration: a sign-up with a mail, a report, pictures and a slow partner, done inline and in the background.

One file, one trade. `main` reads the arguments and `story` tells what happens, act by act, on the `screen`. `services`
starts the processes: `mailbox` (an SMTP server), `partner` (a slow and flaky API), `web` (the site) and Dray's own worker.
`signup` is the sign-up in both ways, `works` starts what is larger, `jobs` holds the tasks; what they do stands in `mail`,
`report`, `pictures`, `video`, `migration` and `partner_api`. `db` is the application's part of the SQLite file, `states`
asks Dray how jobs are, `drive` sends the visitors, `check` audits the results. Needs the extra `demo`.
"""
