"""Makes the keys and certificates that compose.yaml needs, on its volumes. Run by its service `prepare`, as root.

What exists is left alone, but a server certificate that ends within 30 days is made anew. Must never print a key.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import re
import secrets
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

BAO = tuple(int(part) for part in os.environ.get("OPENBAO_USER", "100:1000").split(":"))
ROTATOR = (65532, 65532)
NOBODY = (0, 0)
NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)
BAO_DATA, BAO_KEYS = Path("/bao/data"), Path("/bao/keys")
DATA, RUN, KEYS = Path("/var/lib/rotator"), Path("/run/rotator"), Path("/run/rotator-keys")
POLICY = Path("/setup/openbao-policy.hcl")
WORDS = {"MOUNT": "secret", "INSTALLATION": "compose", "APP": "app", "ADMIN": "admin"}


def folder(path: Path, owner: tuple[int, ...]) -> None:
    """A folder of one user."""
    path.mkdir(parents=True, exist_ok=True)
    os.chown(path, owner[0], owner[1])
    path.chmod(0o700)


def keep(path: Path, raw: bytes, owner: tuple[int, ...], mode: int = 0o400) -> None:
    """Write a file whole: it is there with its owner and mode, or not at all."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
        out.write(raw)
        os.fchown(out.fileno(), owner[0], owner[1])
        os.fsync(out.fileno())
    new.replace(path)
    sys.stdout.write(f"made {path}\n")


def authority() -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """The certificate authority of this installation; made once."""
    key_file, file = BAO_KEYS / "ca.key", BAO_KEYS / "ca.pem"
    if key_file.exists() and file.exists():
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return x509.load_pem_x509_certificate(file.read_bytes()), key
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "rotator compose")])
    made = (
        _begin(name, name, key, 3650)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    keep(key_file, _pem(key), NOBODY)
    keep(file, made.public_bytes(serialization.Encoding.PEM), BAO, 0o444)
    return made, key


def server(ca: x509.Certificate, ca_key: ec.EllipticCurvePrivateKey) -> None:
    """The server's certificate, for one year."""
    file = BAO_KEYS / "server.pem"
    if file.exists() and x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc > NOW + 30 * DAY:
        return
    key = ec.generate_private_key(ec.SECP256R1())
    names: list[x509.GeneralName] = [x509.DNSName("openbao"), x509.DNSName("localhost")]
    names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "openbao")])
    made = (
        _begin(subject, ca.subject, key, 365)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    keep(BAO_KEYS / "server.key", _pem(key), BAO)
    keep(file, made.public_bytes(serialization.Encoding.PEM), BAO, 0o444)


def _begin(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + days * DAY)
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def main() -> int:
    """Make what is missing. The secret id is shared: OpenBao reads it once, the daemon at every login."""
    for path, owner in ((BAO_DATA, BAO), (BAO_KEYS, BAO), (DATA, ROTATOR), (RUN, ROTATOR), (KEYS, ROTATOR)):
        folder(path, owner)
    if not (BAO_KEYS / "unseal.key").exists():
        keep(BAO_KEYS / "unseal.key", secrets.token_bytes(32), BAO)
    ca, ca_key = authority()
    server(ca, ca_key)
    policy = POLICY.read_text()
    for word, text in WORDS.items():
        policy = re.sub(rf"\b{word}\b", text, policy)
    if not (BAO_KEYS / "rotator-policy.hcl").exists():
        keep(BAO_KEYS / "rotator-policy.hcl", policy.encode(), BAO)
    if not (KEYS / "secret-id").exists():
        secret_id = secrets.token_urlsafe(32).encode()
        keep(BAO_KEYS / "secret-id", secret_id, BAO)
        keep(KEYS / "secret-id", secret_id, ROTATOR)
    if not (KEYS / "fingerprint.key").exists():
        keep(KEYS / "fingerprint.key", secrets.token_bytes(32), ROTATOR)
    if not (KEYS / "ca.pem").exists():
        keep(KEYS / "ca.pem", ca.public_bytes(serialization.Encoding.PEM), ROTATOR, 0o444)
    return 0


if __name__ == "__main__":
    sys.exit(main())
