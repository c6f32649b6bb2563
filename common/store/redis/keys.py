"""Every Redis key and channel, and what it holds. Nobody else spells one.

All keys of a job's shard share one hash tag, `{lh0}`, so that a script may touch several of them.
Records have no TTL: the due sweep removes them.
"""

from common.jobs.ids import SHARDS, shard_of

HOME_SHARD = "0"  # leases, the catalogue, sessions, API keys, orders, documents


class Keys:
    def __init__(self, namespace: str) -> None:
        self._namespace = namespace

    def shard(self, shard: str) -> str:
        """The prefix of everything in a shard; scripts append the rest as the methods below do."""
        return f"{{{self._namespace}{shard}}}"

    def of_job(self, job_id: str) -> str:
        return self.shard(shard_of(job_id))

    @property
    def home(self) -> str:
        return self.shard(HOME_SHARD)

    @property
    def shards(self) -> list[str]:
        return [self.shard(str(number)) for number in range(SHARDS)]

    @staticmethod
    def head(prefix: str, job_id: str) -> str:
        """Hash: the head."""
        return f"{prefix}:j:{job_id}"

    @staticmethod
    def part(prefix: str, job_id: str, name: str) -> str:
        """String: the call, the result, questions, checkpoint, files."""
        return f"{prefix}:j:{job_id}:{name}"

    @staticmethod
    def events(prefix: str, job_id: str) -> str:
        """List of JSON [number, ms, name, facts], the newest last, capped."""
        return f"{prefix}:j:{job_id}:ev"

    @staticmethod
    def output(prefix: str, job_id: str) -> str:
        """List of JSON [number, ms, try, entry], the newest last, capped.

        The hash `:out:sums` has the newest number, the bytes kept and the mark of the last note.
        """
        return f"{prefix}:j:{job_id}:out"

    @staticmethod
    def index(prefix: str, name: str) -> str:
        """Sorted set of job ids. Unique keys are strings at `:u:`, a job's own at `:j:ID:u`."""
        return f"{prefix}:i:{name}"

    @property
    def leases(self) -> str:
        """Sorted set: lease id by its newest beat, ms. What a process said is the hash `:said`."""
        return f"{self.home}:leases"

    @property
    def said(self) -> str:
        return f"{self.home}:said"

    @property
    def catalogue(self) -> str:
        """Hash: backend to JSON [digest, started_at, body]."""
        return f"{self.home}:catalogue"

    def session_note(self, session_id: str, name: str) -> str:
        """String with a TTL; the session is the hash `:s:ID`. All sessions: `:sessions`, by end."""
        return f"{self.home}:s:{session_id}:n:{name}"

    @property
    def api_keys(self) -> str:
        """Hash: name to "created_at expires_at JSON". Its revision is the string `:revision`."""
        return f"{self.home}:keys"

    @property
    def orders(self) -> str:
        """Hash: "kind:backend" to JSON, what operators ordered about backends."""
        return f"{self.home}:orders"

    def content(self, sha256: str) -> str:
        """Hash of a document's content: `place`, and "o:OWNER" to what its entry says."""
        return f"{self.home}:d:{sha256}"

    def documents(self, index: str = "") -> str:
        """Sorted set in the order of its text, "created:hash:owner": all, `everyone`, `of:OWNER`.

        `:end` has "hash owner" by expiry, ms; `:done:TOKEN` is a removal that may be asked again.
        """
        return f"{self.home}:docs{index and ':'}{index}"

    @property
    def channels(self) -> str:
        """Prefix of the pub/sub channels; scripts append `in:LEASE`, `w:LEASE`, `news`."""
        return f"{self._namespace}:"
