"""RabbitMQ over TLS, with a certificate of one's own."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from yarl import URL

from common.brokers.base import Broker, BrokerError
from common.brokers.open import open_broker
from common.clock import SystemClock
from common.jobs.token import Token, ToolRef, decode_token
from tests.support.namespaces import Namespace
from tests.support.servers import Shared

pytestmark = pytest.mark.anyio

TOOL = ToolRef(backend="exporter", tool="export_rows", version="1")
HOST = "localhost"


def write_certificate(folder: Path) -> Path:
    """A key and a certificate that it signed itself, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    path = folder / "certificate.pem"
    path.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(pem)
    )
    return path


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


@pytest.fixture
async def secured(rabbit: Shared, tmp_path: Path) -> AsyncIterator[URL]:
    """The same broker, behind something that speaks TLS for it."""
    plain = URL(rabbit.url)
    certificate = write_certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs = await asyncio.open_connection(plain.host, plain.port)
        await asyncio.gather(pump(reader, theirs[1]), pump(theirs[0], writer))

    async with await asyncio.start_server(relay, HOST, 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        secured = plain.with_scheme("amqps").with_host(HOST).with_port(port)
        yield secured.update_query(cafile=str(certificate))


async def opened(url: URL, namespace: Namespace, stack: AsyncExitStack) -> Broker:
    return await stack.enter_async_context(
        open_broker(str(url), namespace=namespace, queue_type="auto", clock=SystemClock())
    )


async def test_tokens_travel_over_tls(secured: URL, namespace: Namespace) -> None:
    namespace.queues.add("b")
    async with AsyncExitStack() as stack:
        broker = await opened(secured, namespace, stack)
        await broker.publish("b", Token(job="j", generation=1, version=1, tool=TOOL), 5)
        consumer = await stack.enter_async_context(broker.consume("b", 1))
        delivery = await anext(aiter(consumer))
        assert decode_token(delivery.raw).job == "j"
        await delivery.ack()


async def test_a_certificate_that_nobody_vouches_for_is_refused(
    secured: URL, namespace: Namespace
) -> None:
    async with AsyncExitStack() as stack:
        broker = await opened(secured.with_query(None), namespace, stack)
        with pytest.raises(BrokerError, match="CERTIFICATE_VERIFY_FAILED"):
            await broker.depth("b")
