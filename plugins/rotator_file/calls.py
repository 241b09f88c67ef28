"""The abilities of the kind `file`: preflight, install, list, revoke.

Called by the plugin host through the declaration in `__init__`. There is no `check`: that a file stands there does not
show that its holder uses it, and saying so would be a claim without a proof.
"""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime

from rotator.plugin_api import (
    Endpoint,
    Failed,
    Found,
    Installed,
    InstallRequest,
    ListRequest,
    Misconfigured,
    Page,
    PreflightRequest,
    Ready,
    Revoked,
    RevokeRequest,
    Subject,
)

from . import holder, place, render
from .config import Config


def preflight(at: Endpoint[Config], request: PreflightRequest) -> Ready:
    """Which user we are, and what would keep us from writing the file. Writes nothing."""
    findings = []
    me = os.geteuid()
    try:
        target = place.opened(at.config.root, _path(request.subject), at.closing)
        target.stat()
        if not os.access(".", os.W_OK | os.X_OK, dir_fd=target.folder, effective_ids=True):
            findings.append("permission")
        if os.fstat(target.folder).st_mode & stat.S_IWOTH:
            findings.append("shared_folder")
    except Misconfigured as error:
        findings.append(error.reason)
    try:
        owner, group = place.ids(at.config)
        if me != 0 and (owner not in (-1, me) or group not in (-1, os.getegid(), *os.getgroups())):
            findings.append("owner")
    except Misconfigured as error:
        findings.append(error.reason)
    if untold := holder.ready(at.config):
        findings.append(untold)
    return Ready(acting=str(me), findings=tuple(findings))


def install(at: Endpoint[Config], request: InstallRequest) -> Installed:
    """Writes the whole file anew and tells its holder. The same again repeats both, and repairs mode and owner."""
    path = _path(request.into)
    content = render.rendered(request.into.params.get("format", "env"), request.fields, request.value)
    owner, group = place.ids(at.config)
    if untold := holder.ready(at.config):
        raise Misconfigured(untold)
    target = place.opened(at.config.root, path, at.closing)
    if at.remaining() <= 0:
        raise Failed("deadline", unsent=True)  # a write after its time could undo a later one
    place.write(target, content, at.config.bits, owner, group)
    holder.tell(at.config, at.remaining())
    return Installed(handle=path)


def listing(at: Endpoint[Config], request: ListRequest) -> Page:
    """The subject's file, if it is there; without a subject nothing, since a folder does not say which are ours.

    `active`: it has the mode and the owner that it should have.
    """
    if request.subject is None:
        return Page(items=())
    path = _path(request.subject)
    found = place.opened(at.config.root, path, at.closing).stat()
    if found is None:
        return Page(items=())
    owner, group = place.ids(at.config)
    right = (
        stat.S_IMODE(found.st_mode) == at.config.bits and owner in (-1, found.st_uid) and group in (-1, found.st_gid)
    )
    changed = datetime.fromtimestamp(found.st_mtime, UTC)
    return Page(items=(Found(handle=path, principal=request.subject.principal, active=right, updated_at=changed),))


def revoke(at: Endpoint[Config], request: RevokeRequest) -> Revoked:
    """Removes the file. Its holder is not told: most would fail to reload without it."""
    path = _path(request.target.subject)
    return Revoked(already=not place.remove(place.opened(at.config.root, path, at.closing)))


def _path(subject: Subject) -> str:
    return subject.params.get("path") or subject.principal
