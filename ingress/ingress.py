"""The ingress as one value: its operations, and the tasks behind them."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from common.config.model import Settings
from common.heartbeat import Heartbeat
from common.routing.rules import Rules
from common.runtime import Runtime
from ingress.batches.desk import Batches, build_batches
from ingress.callbacks.resolving import Resolver
from ingress.callbacks.sender import CallbackSender
from ingress.catalogue_feed import CatalogueFeed
from ingress.document_news import DocumentNews
from ingress.key_ring import KeyRing
from ingress.operations.callbacks import Callbacks
from ingress.operations.cancel import Cancel
from ingress.operations.dead_letters import DeadLetters
from ingress.operations.documents import Documents
from ingress.operations.durations import Durations
from ingress.operations.fleet import FleetFeed
from ingress.operations.follow import Follower
from ingress.operations.headroom import Headroom
from ingress.operations.jottings import Jottings
from ingress.operations.keys import ManageKeys
from ingress.operations.output import Output
from ingress.operations.read import Read
from ingress.operations.respond import Respond
from ingress.operations.resume import Resume
from ingress.operations.submit import Submit
from ingress.operations.wait import Wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingress:
    runtime: Runtime
    lease: str
    rules: Rules
    feed: CatalogueFeed
    follower: Follower
    fleet: FleetFeed
    submit: Submit
    headroom: Headroom
    jottings: Jottings
    read: Read
    cancel: Cancel
    wait: Wait
    output: Output
    respond: Respond
    resume: Resume
    ring: KeyRing
    keys: ManageKeys
    dead_letters: DeadLetters
    documents: Documents
    batches: Batches
    document_news: DocumentNews
    sender: CallbackSender
    callbacks: Callbacks
    durations: Durations = field(default_factory=Durations)
    local_key: str = ""  # of the data folder; empty where the roles share a store
    secret_key: str = ""  # of all replicas; empty: what this one sealed only it can open
    stopping: asyncio.Event = field(default_factory=asyncio.Event)  # the process was asked to stop

    def adopt(self, settings: Settings) -> None:
        """The configuration was read again: from now on this holds, and clients are told."""
        self.runtime.settings = settings
        self.rules.adopt(settings)
        self.feed.ruled_anew()

    async def run(self) -> None:
        """Hear of jobs and of the catalogue, and keep the lease, until cancelled."""
        started_at = round(self.runtime.clock.now() * 1000)

        def info() -> dict[str, Any]:
            return {
                "role": "ingress",
                "started_at": started_at,
                "draining": self.stopping.is_set(),
            }

        async with asyncio.TaskGroup() as group:
            group.create_task(Heartbeat(self.runtime, self.lease, info).run())
            group.create_task(self.feed.run())
            group.create_task(self.ring.run())
            group.create_task(self.headroom.run())
            group.create_task(self.submit.window.run())
            group.create_task(self.follower.run())
            group.create_task(self.batches.run())
            group.create_task(self.sender.run())


def build_ingress(
    runtime: Runtime, lease: str, rules: Rules, *, local_key: str = "", secret_key: str = ""
) -> Ingress:
    feed = CatalogueFeed(runtime, rules)
    ring = KeyRing(runtime)
    document_news = DocumentNews(runtime.notifier)
    follower = Follower(runtime, lease, feed, ring, document_news)
    read = Read(runtime)
    jottings = Jottings(runtime)
    wait = Wait(runtime, follower, read)
    headroom, fleet = Headroom(runtime), FleetFeed(runtime)
    resolver = Resolver(runtime.settings.callbacks)
    submit = Submit(runtime, lease, feed, rules, follower, jottings, headroom, resolver)
    return Ingress(
        runtime=runtime,
        lease=lease,
        rules=rules,
        feed=feed,
        follower=follower,
        fleet=fleet,
        submit=submit,
        headroom=headroom,
        jottings=jottings,
        read=read,
        cancel=Cancel(runtime, submit.window),
        wait=wait,
        output=Output(runtime, follower, read, wait),
        respond=Respond(runtime, read),
        resume=Resume(runtime, follower),
        ring=ring,
        keys=ManageKeys(runtime, ring),
        dead_letters=DeadLetters(runtime, read, submit),
        documents=Documents(runtime, document_news),
        batches=build_batches(runtime, rules, submit, headroom, fleet),
        document_news=document_news,
        sender=CallbackSender(runtime, resolver),
        callbacks=Callbacks(runtime, read),
        local_key=local_key,
        secret_key=secret_key,
    )
