"""The blobs at an address: `file:///FOLDER`, `s3://BUCKET/PREFIX`, `gs://…` or `az://…`."""

from common.blobs.base import BlobStore
from common.blobs.folder import FolderBlobs
from common.config.urls import blob_folder, mask_url, scheme


def open_blobs(url: str) -> BlobStore | None:
    """Nothing is asked of the place yet. None without an address: large things stay in records.

    Raises:
        ValueError: Not the address of blobs.
    """
    match scheme(url):
        case "":
            return None
        case "file":
            return FolderBlobs(blob_folder(url))
        case "s3" | "gs" | "az":
            # Tens of megabytes to load, and most routers keep their blobs in a folder.
            from common.blobs.objects.store import ObjectBlobs  # noqa: PLC0415 - as said

            return ObjectBlobs(url)
        case _:
            raise ValueError(
                f"{mask_url(url)} is no place for blobs: write file:///FOLDER, s3://BUCKET/PREFIX, "
                "gs://… or az://…"
            )
