"""Makes certificates for tests: of an authority, of a server on the loopback interface, and of a client."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Certificates:
    """The paths of PEM files.

    Attributes:
        authority: the certificate that signs the other two.
        server: the certificate and the key of a server at `127.0.0.1`.
        client: the certificate and the key of a client.
    """

    authority: Path
    server: Path
    client: Path


def make_certificates(folder: Path) -> Certificates:
    """Writes the certificates into the folder; they are valid for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("authority")
    own = _builder(name, name, key).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    (folder / "authority.pem").write_bytes(_pem(own.sign(key, hashes.SHA256())))
    address = x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))
    for subject in ("server", "client"):
        subject_key = ec.generate_private_key(ec.SECP256R1())
        signed = (
            _builder(_name(subject), name, subject_key)
            .add_extension(x509.SubjectAlternativeName([address]), critical=False)
            .sign(key, hashes.SHA256())
        )
        (folder / f"{subject}.pem").write_bytes(_pem(signed) + _private(subject_key))
    return Certificates(*(folder / f"{name}.pem" for name in ("authority", "server", "client")))


def _name(unit: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, unit)])


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey):
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
