"""An object store for tests: URIs `objects://FOLDER/...` of files on this disk, which other processes see too, once they import
this module. It has no flock, so that writers of it hold leases."""

import os
import secrets
from pathlib import Path

import fsspec
from fsspec.implementations.local import LocalFileSystem


class ObjectStore(LocalFileSystem):
    """Keys are paths; a put makes the prefixes that it needs, and may ask that the key is new."""

    protocol = "objects"

    def __init__(self, **options):
        super().__init__(auto_mkdir=True, **options)

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(str(path).removeprefix("objects://"))

    def pipe_file(self, path, value, mode="overwrite", **options):
        """A whole object or none, as a put of a store is."""
        target = Path(self._strip_protocol(path))
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".put-{secrets.token_hex(8)}")
        part.write_bytes(value)
        if mode == "create":
            try:
                os.link(part, target)
            finally:
                part.unlink()
        else:
            part.replace(target)


fsspec.register_implementation("objects", ObjectStore, clobber=True)
