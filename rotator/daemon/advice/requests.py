"""What a person does about each string code, `ROT-…` and `CFG-…`. Read by `catalogue` only.

For `ROT-…` meaning and advice; for `CFG-…` the catalogue of `rotator.settings.problems` has the meaning.
"""

from __future__ import annotations

from typing import Final

REQUESTS: Final[dict[str, tuple[str, str]]] = {
    "ROT-ALREADY-ADOPTED": (
        "The credential was adopted before. Nothing was changed.",
        "Nothing to do. `rotator explain ID` shows its values. `rotator verify ID` uses what serves.",
    ),
    "ROT-ANSWER-ILLEGAL": (
        "This answer does not fit what is known of the run now: it has ended, moved on, or never asked this.",
        "`rotator runs show RUN` lists the answers that are possible, as whole commands. An answer that must name a "
        "value, home, consumer or handle is illegal without it when several fit.",
    ),
    "ROT-ANSWER-LOST": (
        "The daemon took the request and its answer did not arrive. It may have been carried out.",
        "`rotator runs list --open` shows whether a run was opened; `rotator status` the rest. It is safe to ask "
        "again: a second run of a credential cannot open.",
    ),
    "ROT-BAD-METHOD": ("The path of the API takes another method.", "Correct the program: `docs/api.md`."),
    "ROT-BAD-SELECTOR": (
        "The text after `-l` is no selector. Nothing was done.",
        "The message names the column. `rotator help selectors` has the language in ten lines.",
    ),
    "ROT-BAD-REQUEST": (
        "The body or query of an API request is not what is expected. Nothing was done.",
        "Correct the program: `docs/api.md`. If it came from `rotator` itself, command line and daemon are of "
        "different versions: `rotator version`.",
    ),
    "ROT-BUG": (
        "The command line failed by a bug of its own. It shows types and places, never texts.",
        "Report the line. What had been asked of the daemon goes on: `rotator runs list --open`.",
    ),
    "ROT-BUSY": (
        "The daemon answers too many requests at once.",
        "Again in a moment. Fewer `runs watch` at the same time.",
    ),
    "ROT-FILE": ("A file cannot be written.", "Correct path or rights; the message has the system's reason."),
    "ROT-FILE-EXISTS": ("The file is there already; nothing was written.", "Choose another path, or move it away."),
    "ROT-INTERNAL": (
        "A bug in the daemon. The message has the number of a report.",
        'Look for the number in the daemon\'s log (`"report": "…"`): it has types and places. Runs are not '
        "harmed. Report it.",
    ),
    "ROT-INTERRUPTED": (
        "Ctrl-C. What was begun goes on in the daemon.",
        "`rotator runs list --open`, `rotator runs watch RUN`. To stop a run: `rotator runs back RUN --reason TEXT`.",
    ),
    "ROT-NO-PLUGIN": ("The plugin that reads packs is not installed.", "Install the package whole, with its plugins."),
    "ROT-NO-ROUTE": ("The API has no such path.", "Correct the program: `docs/api.md`. Compare `rotator version`."),
    "ROT-NO-ZONES": (
        "There is no time zone data on this machine: windows and cron cannot be computed.",
        "Install the package `tzdata`.",
    ),
    "ROT-NOT-ADOPTED": (
        "The credential is configured, but its present value was never taken over, so nothing may be changed.",
        "`rotator adopt ID` when the value stands in the store already, else `rotator adopt ID --from FILE`.",
    ),
    "ROT-NOT-ALLOWED": (
        "The user who runs the command may not speak to this daemon.",
        "Run it as the daemon's user or as root, or add your uid to `daemon.allow_uids` and restart the daemon. It "
        "knows you by the uid of your process, nothing else.",
    ),
    "ROT-MARK-UNREAD": (
        "A store did not say its mark, so nobody knows which serials the lost time has used.",
        "Make the store answer (`rotator doctor`); or `rotator observe end --unseen --reason TEXT`: then a distance is "
        "kept that is larger than what one mark covers.",
    ),
    "ROT-NOT-OBSERVING": ("The daemon does not observe: there is nothing to end.", "Nothing."),
    "ROT-NOT-OWED": (
        "What was to be accepted is no debt: it serves, is proven dead, was accepted already, or was never there.",
        "`rotator debts explain ID` lists what is owed, with whole commands.",
    ),
    "ROT-UNSEEN": (
        "Nobody has looked at some credentials since the ledger was restored.",
        "`rotator reconcile --all`; or `rotator observe end --unseen --reason TEXT`.",
    ),
    "ROT-NOT-CONFIRMED": ("You said no, or another name than the one asked for. Nothing was done.", "Nothing."),
    "ROT-NOT-FOUND": (
        "There is no such credential, run, campaign or workflow; or (said by a platform) no such account or object.",
        "`rotator credentials`, `rotator runs list`. After a change of the configuration: `rotator config reload`. "
        "Said by a platform: correct the principal, or create the account.",
    ),
    "ROT-OBSERVING": (
        "The daemon only observes: its ledger may be an old copy, so nothing is opened and nothing answered.",
        "See *A restored ledger* above. If no store answers, it ends by itself when one does.",
    ),
    "ROT-RETIRED": (
        "The credential was retired: every value of it is proven dead, and nothing is made for it again.",
        "If it is needed after all, describe it under another id and adopt it with a new value.",
    ),
    "ROT-RUN-BUSY": (
        "A step of this run is under way, and an answer must wait for its end.",
        "Again in a moment. A step takes at most `daemon.deadline`.",
    ),
    "ROT-RUN-OPEN": (
        "The credential has an open run. There is one at a time.",
        "`rotator runs watch RUN`. If it waits for you: answer it. In an emergency: "
        "`rotator emergency ID --mode contain --reason TEXT` turns the open run.",
    ),
    "ROT-CLOCK": (
        "This machine's clock and a server's are more than 30 seconds apart.",
        "Set the clock (NTP). Signed requests, tokens with a life and windows depend on it.",
    ),
    "ROT-OTHER-USER": (
        "The ledger belongs to another user than the one who asks: it was not opened, since SQLite would make files "
        "beside it that its owner could not write.",
        "Run the command as the daemon's user: `sudo -u rotator rotator doctor --config …`.",
    ),
    "ROT-PORT": (
        "The health port (`daemon.listen`) cannot be listened on.",
        "`ss -ltnp` shows who has it. Configure another port, or an address of this machine.",
    ),
    "ROT-ROOT": (
        "The doctor runs as root, which may read everything; the daemon's own user may not.",
        "Run it as the daemon's user to see what the daemon will see.",
    ),
    "ROT-SOCKET-FOLDER": (
        "The folder of the socket cannot be used, or others could replace the socket in it.",
        "Make a folder of the daemon's user with mode 0700, and name it in `daemon.socket`.",
    ),
    "ROT-SOCKET-IN-USE": (
        "Another daemon, or another program, listens on the socket.",
        "Stop it, or configure another `daemon.socket`. Two daemons on one ledger are refused as well.",
    ),
    "ROT-SOCKET-PATH": (
        "The socket's path is too long for the system, or something that is no socket stands there.",
        "Shorten `daemon.socket`, or move away what stands there. Nothing was removed.",
    ),
    "ROT-TOO-LARGE": ("A request is larger than allowed.", "Name fewer credentials, or use `--all` or a label."),
    "ROT-TOO-SLOW": ("A request did not arrive in time.", "Again. If it repeats, the machine is overloaded."),
    "ROT-UNCERTAIN": (
        "The run ended, or stands, with something that is not known. A person abandoned it.",
        "`rotator explain ID` and `rotator debts` show what is open. The next run begins by looking and repairs it: "
        "`rotator rotate ID --reason TEXT`.",
    ),
    "ROT-UNKNOWN-ENDPOINT": (
        "The credential's definition names an endpoint or a kind that is not configured now.",
        "Put it back into the configuration, then `rotator config reload`.",
    ),
    "ROT-UNREACHABLE": (
        "No daemon answers at the socket.",
        "Is it running? `rotator serve --config PATH`. Another socket? `--socket PATH` or `ROTATOR_SOCKET`. Open runs "
        "go on when it is back.",
    ),
    "ROT-USAGE": ("The command was not used as it can be. Nothing was done.", "The message says what is missing."),
}

CONFIGURATION: Final[dict[str, str]] = {
    "CFG-BAD-CRON": 'Write five fields, `"0 3 * * 6"`, in quotes.',
    "CFG-BAD-DURATION": "Write `30d`, `24h`, `15m`, `1h30m`, `10s`. Months are said with `cron`.",
    "CFG-BAD-ENUM": "The message lists the words.",
    "CFG-BAD-ID": "Lower-case letters, digits and hyphens; the message says what is allowed here.",
    "CFG-BAD-PATH": "Take out empty parts, `.`, `..` and a leading `/`. Files are named by their full path.",
    "CFG-BAD-RATE": "Write calls in a span: `50/1s`, `600/1m`, `5000/1h`, or `none`.",
    "CFG-BAD-REFERENCE": "Correct it; a `$` that is meant as such is written `$$`.",
    "CFG-BAD-SELECTOR": "Write `team=itsm, tier in (T0, T1)`; the message names the column. `rotator help selectors`.",
    "CFG-BAD-TIME": 'A day is `2027-06-30`, a time of day `"01:00"` in quotes, a moment has its zone.',
    "CFG-BAD-ZONE": "Write an IANA name such as `Europe/Berlin`, or `UTC`.",
    "CFG-CONFLICT": "Take one of the two keys out, or add the missing one, as the message says.",
    "CFG-DUPLICATE-ID": "Rename or remove one of the two; the message has both places.",
    "CFG-EMPTY": "Fill it in, or take the key out.",
    "CFG-ENDPOINT-IN-USE": "Put the endpoint back. Before it may go, retire what lives there.",
    "CFG-EXPIRY-NEAR": "A warning. Say a new day if the credential is still needed, or retire its workflow.",
    "CFG-LIMITS": "A warning. The message says what is done instead.",
    "CFG-MISSING": "Add the key; `docs/configuration.md` describes it.",
    "CFG-NO-EXPIRY": "Add `expires`: the day on which somebody must say again that it is needed.",
    "CFG-NO-OWNER": "Add `owner`: who answers for it.",
    "CFG-NO-PURPOSE": "Add `purpose`: what it is for, in a sentence.",
    "CFG-NO-TIER": "Add `tier`: T0 can change identity or access, T3 only reads.",
    "CFG-NO-WORKFLOWS": "Add `workflows`; `[]` says that none uses it.",
    "CFG-OUT-OF-RANGE": "The message has the bounds.",
    "CFG-OVERLAP-TOO-LONG": "Make `overlap` shorter than the interval, or rotate less often.",
    "CFG-NO-SLOT": "Make the window longer, the freezes shorter, or let the cron fire at another time.",
    "CFG-PARENT-CYCLE": "Take one `parent` out of the circle; the message has every place.",
    "CFG-PLUGIN": "The message says why: not in `plugins.allow`, not installed, installed twice, a pack with errors "
    "(`rotator plugins check PATH`), or a declaration that contradicts itself (`docs/plugins.md`).",
    "CFG-PLUGIN-CONFIG": "Correct the endpoint's `config`; the plugin's page in docs/ lists its fields.",
    "CFG-PROOF-TOO-LONG": "Make `proof.over` or `overlap` shorter, or rotate less often.",
    "CFG-REFUSED": "`rotator config validate PATH` shows everything that is wrong.",
    "CFG-SAME-PLACE": "One credential per principal and per field. Merge the two, or use another account or field.",
    "CFG-SECRET-BY-REFERENCE": "Write where the value is, `{store, path, field}` or `{file}`: the daemon reads it when "
    "it is used. If it stood in the variable, treat it as leaked.",
    "CFG-SECRET-IN-CLEAR": "Take the value out of the file, treat it as leaked, and write a reference: "
    "`{store, path, field}` or `{file}`.",
    "CFG-SIMILAR-NAMES": "A warning. Write the name the same way everywhere: retiring a workflow finds it by its exact "
    "name.",
    "CFG-STORE": "The message has the store and its reason (`store_ca`, `store_key` …): see the table *Stores*.",
    "CFG-STORE-VERSIONS": "A warning. Give the credentials paths of their own.",
    "CFG-STORE-IN-USE": "Put the store back. Before it may go, put the credential back or retire it.",
    "CFG-TRAITS": "The message names the alternative that the platform can do. Only the plugins can say this: "
    "`validate --no-plugins` does not.",
    "CFG-UNKNOWN-KEY": "Correct the spelling; the nearest known key is suggested.",
    "CFG-UNKNOWN-KIND": "The message lists the kinds of that endpoint's plugin.",
    "CFG-UNKNOWN-REF": "Name a store, endpoint or policy that is configured; the nearest one is suggested.",
    "CFG-UNRESOLVED": "Set the variable for the daemon too (not only in your shell), put the file there, or give a "
    "default: `${env:NAME:-default}`.",
    "CFG-UNREADABLE": "Correct path or rights: the daemon's user must be able to read it.",
    "CFG-UNUSED": "A warning. Take it out, or name it where it was meant to be used.",
    "CFG-WINDOW-TOO-SHORT": "A warning. Make the window longer, or accept that the work goes on after it.",
    "CFG-WRONG-FOLDER": "Move the file or the section; `docs/configuration.md` shows the folders.",
    "CFG-WRONG-TYPE": "The message says what belongs there. Quote what YAML takes for a number or a truth value.",
    "CFG-YAML": "Correct the line. YAML 1.2: two spaces, no tabs.",
}
