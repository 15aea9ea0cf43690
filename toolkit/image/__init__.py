"""Images as the OCI image spec has them: names, documents, blobs, unpacked layers.

Knows files and documents, but no registry, no union file system and no
container: `registry/` brings blobs in, `storage/` stacks the layers.

Invariants: a blob or a layer that can be seen under its digest has been checked
against it; nothing is changed once it is visible; whatever is half-made lies
under a name that its owner holds a lock on.
"""
