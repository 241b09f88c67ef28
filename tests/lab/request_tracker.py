"""A real Request Tracker 5 from Debian packages: users with one password each, and the sessions that they begin.

Called by fixtures and tests. Database, sessions and caches are in a folder of its own, the passwords of its two
administrators are made at run time. It must never send mail, and never touch the system's own RT.
"""

from __future__ import annotations

import base64
import os
import secrets
import subprocess
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from tests.lab import wire
from tests.lab.debian import need, package_file
from tests.lab.process import Folder, LabError, Process, Server, free_port

ROOT_USER = "root"
ADMIN = "rotator"
"""A privileged user who has the right AdminUsers and no other."""
WRONG_PASSWORD = "Your username or password is incorrect"
"""What RT says to a wrong password, and word for word the same for a user who does not exist, or is disabled."""
RIGHTS_NEEDED = "AdminUsers"
_PACKAGE = "request-tracker5"
_RELATED_S, _READY_S = 120, 60


class RequestTracker(Server):
    """An RT on SQLite behind its own web server. `root_password`: of ROOT_USER; `admin_password`: of ADMIN.

    `minimum`: the shortest password that it takes. Authentications are slow by design: some 0.3 s each.
    """

    def __init__(self, minimum: int = 8) -> None:
        """Create the database with both administrators in it; the server is not started yet."""
        need("request-tracker")
        self.port = free_port()
        self.folder = Folder("request-tracker")
        self.root_password, self.admin_password = secrets.token_urlsafe(18), secrets.token_urlsafe(18)
        data = self.folder.path
        self._env = {
            "HOME": str(data), "PATH": f"{os.defpath}:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8", "TMPDIR": str(data),
            "RT_SITE_CONFIG": str(data / "RT_SiteConfig.pm"), "RT_SITE_CONFIG_DIR": str(data / "SiteConfig.d"),
        }  # fmt: skip
        self._rt = package_file(_PACKAGE, "/lib/RT.pm").parent
        run = [
            str(package_file(_PACKAGE, "/libexec/rt-server")), "--server", "Starlet", "--host", "127.0.0.1",
            "--port", str(self.port), "--max-workers", "4",
        ]  # fmt: skip
        self.process = Process(
            "request-tracker", run, data / "log", env=self._env, cwd=data,
            conceal=(self.root_password, self.admin_password),
        )  # fmt: skip
        try:
            for name in ("SiteConfig.d", "session", "mason"):
                (data / name).mkdir()
            (data / "RT_SiteConfig.pm").write_text(self._site_config(minimum))
            self._related("rt-setup-database-5", "--action", "init", "--skip-create")
            self.perl(_PREPARE, f"{self.root_password}\n{ADMIN}\n{self.admin_password}\n{RIGHTS_NEEDED}\n")
        except BaseException:
            self.folder.remove()
            raise

    def _site_config(self, minimum: int) -> str:
        data, url = self.folder.path, self.url
        settings: dict[str, str | int] = {
            "rtname": "lab.test", "Organization": "lab.test", "WebDomain": "127.0.0.1", "WebPort": self.port,
            "WebBaseURL": url, "WebURL": f"{url}/", "DatabaseType": "SQLite",
            "DatabaseName": str(data / "rt.sqlite3"), "MailCommand": "testfile", "LogToSTDERR": "info",
            "MinimumPasswordLength": minimum,
        }  # fmt: skip
        lines = [f"Set(${name}, '{value}');" for name, value in settings.items()]
        lines += ["Set($LogToSyslog, undef);", f"$RT::MasonSessionDir = '{data / 'session'}';"]
        return "\n".join([*lines, f"$RT::MasonDataDir = '{data / 'mason'}';", "1;", ""])

    def demand(self, minimum: int) -> None:
        """Let every new password have so many signs at least; RT is started anew, what is set stays as it is."""
        (self.folder.path / "RT_SiteConfig.pm").write_text(self._site_config(minimum))
        self.restart()

    def _related(self, *command: str, given: str = "") -> str:
        """Run one of RT's own programs on this instance to its end; what it printed."""
        done = subprocess.run(
            command, input=given, env=self._env, cwd=self.folder.path, capture_output=True, text=True,
            timeout=_RELATED_S,
        )  # fmt: skip
        if done.returncode != 0:
            with self.log.open("a") as out:
                out.write(done.stdout + done.stderr)
            raise LabError(f"request-tracker: {command[0]} failed\n{self.process.log_tail()}")
        return done.stdout

    def perl(self, program: str, given: str = "") -> str:
        """Run a Perl program inside RT, as its administrator could; `given` is its standard input. Takes 2 s."""
        return self._related("perl", f"-I{self._rt}", "-MRT=-init", "-e", program, given=given)

    def _launch(self) -> None:
        self.process.start()
        self.process.wait_ready(lambda: wire.call("GET", f"{self.url}/REST/1.0/", timeout_s=10).status == 200, _READY_S)

    @property
    def url(self) -> str:
        """The server's address without a path."""
        return f"http://127.0.0.1:{self.port}"

    # -- REST 1.0: always 200, the status is the second word of the text ---------------------------------------------

    def say(self, path: str, fields: Mapping[str, str], cookie: str = "") -> wire.Reply:
        """Post a form to REST 1.0, in English; the answer."""
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept-Language": "en"}
        if cookie:
            headers["Cookie"] = cookie
        return wire.call(
            "POST", f"{self.url}/REST/1.0/{path}", urlencode(fields).encode(), headers, timeout_s=30
        )  # fmt: skip

    def login(self, user: str, password: str) -> str:
        """What RT says to a login: the whole text. A session that it begins is ended."""
        answer = self.say("", {"user": user, "pass": password})
        wire.call("GET", f"{self.url}/NoAuth/Logout.html", headers={"Cookie": _cookie(answer)}, timeout_s=30)
        return answer.body.decode()

    def refusal(self, user: str, password: str) -> str:
        """The words of a refused login, status first; empty if the password is taken. LabError: neither of the two."""
        text = self.login(user, password)
        status = text.split("\n", 1)[0].split(" ", 1)[-1]
        if status == "200 Ok":
            return ""
        if status != "401 Credentials required" or WRONG_PASSWORD not in text:
            raise LabError(f"request-tracker: login said {status}")
        return f"{status}: {WRONG_PASSWORD}"

    def accepts(self, user: str, password: str) -> bool:
        """Tell whether RT lets the user in; LabError if it says neither yes nor no."""
        return not self.refusal(user, password)

    def session(self, user: str, password: str) -> str:
        """Begin a session and return its cookie; LabError if RT refuses."""
        answer = self.say("", {"user": user, "pass": password})
        if b" 200 Ok\n" not in answer.body:
            raise LabError("request-tracker: no session, the login was refused")
        return _cookie(answer)

    def session_lives(self, cookie: str) -> bool:
        """Tell whether a session still lets somebody in."""
        return b" 401 Credentials required\n" not in self.say("", {}, cookie).body

    def edit(self, user: str, lines: str, acting: str = ROOT_USER, password: str = "") -> str:
        """Change a user by a form of REST 1.0 (`lines` after the one that names it); what RT says, the whole text."""
        who = {"user": acting, "pass": password or self.root_password}
        return self.say("edit", {**who, "content": f"id: user/{user}\n{lines}\n"}).body.decode()

    def set_password(self, user: str, password: str) -> None:
        """Give a user another password, behind everybody's back."""
        said = self.edit(user, f"Password: {password}")
        if " 200 Ok\n" not in said or not said.rstrip().endswith("updated."):
            raise LabError(f"request-tracker: change of a password said {said.splitlines()[0]}")

    # -- REST 2 ------------------------------------------------------------------------------------------------------

    def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, user: str = ROOT_USER, password: str = ""
    ) -> wire.Reply:
        """Send one call of REST 2 as `user` (root unless told otherwise), by basic authentication; the answer."""
        pair = base64.b64encode(f"{user}:{password or self.root_password}".encode()).decode()
        return wire.call(method, f"{self.url}/REST/2.0{path}", body, {"Authorization": f"Basic {pair}"}, timeout_s=30)

    def create_user(self, name: str, *, privileged: bool = True, email: str = "") -> str:
        """Create a user and return the password made for it."""
        password = secrets.token_urlsafe(18)
        body = {"Name": name, "Password": password, "Privileged": int(privileged)}
        answer = self.ask("POST", "/user", body | ({"EmailAddress": email} if email else {}))
        if answer.status != 201:
            raise LabError(f"request-tracker: create user answered {answer.status}")
        return password

    def disable_user(self, name: str, *, disabled: bool = True) -> None:
        """Disable a user, or enable it again. RT never deletes one."""
        answer = self.ask("PUT", f"/user/{quote(name, safe='')}", {"Disabled": int(disabled)})
        if answer.status != 200:
            raise LabError(f"request-tracker: disable user answered {answer.status}")

    # -- sessions ----------------------------------------------------------------------------------------------------

    def sessions_of(self, user: str) -> int:
        """How many sessions there are in which this user is logged in."""
        return sum(1 for line in self.perl(_SESSIONS).splitlines() if line == user)

    def age_sessions(self, hours: float) -> None:
        """Let all sessions be so old."""
        then = time.time() - hours * 3600
        for path in (self.folder.path / "session").iterdir():
            os.utime(path, (then, then))

    def clean_sessions(self, older: str) -> None:
        """Run RT's own cleaning of sessions, as its administrator's hourly job."""
        self._related("rt-clean-sessions-5", "--older", older, "--skip-user")


def _cookie(answer: wire.Reply) -> str:
    return answer.headers["set-cookie"].partition(";")[0]


_PREPARE = """
chomp(my ($root, $name, $password, $right) = <STDIN>);
my $user = RT::User->new(RT->SystemUser);
$user->Load('root');
my ($done, $said) = $user->SetPassword($root);
die $said unless $done;
my $admin = RT::User->new(RT->SystemUser);
($done, $said) = $admin->Create(Name => $name, Password => $password, Privileged => 1);
die $said unless $done;
($done, $said) = $admin->PrincipalObj->GrantRight(Right => $right, Object => $RT::System);
die $said unless $done;
"""

_SESSIONS = """
use RT::Interface::Web::Session;
for my $id (@{ RT::Interface::Web::Session->Ids }) {
    my %session;
    eval { tie %session, 'RT::Interface::Web::Session', $id; 1 } or next;
    my $user = $session{CurrentUser};
    print $user->Name, "\n" if $user and $user->id;
    untie %session;
}
"""
