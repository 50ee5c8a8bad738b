# SPDX-License-Identifier: Apache-2.0
"""Exports over iSCSI by one `tgtd`: a target for each volume, with an access list of initiators and CHAP.

The daemon is the opener of every volume that it exports, and outlives the agent. What it has to know of a volume is in
the volume's folder, so that a daemon that was killed is started with all of its targets; initiators come again by
themselves and repeat what was not answered. Without the write cache it answers a write once that is on the disk.
Secrets are in files for their owner's eyes and in the daemon's memory, never in arguments.

LIMITATIONS: iSCSI is not encrypted, and CHAP proves who comes, not what is said; nobody can write to an exported volume
while it is copied; one does not grow before it is exported anew.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import threading
import time
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from cumulet.kernel import detached
from cumulet.kernel.errors import Conflict, CumuletError, Invalid, NotFound, NotReady
from cumulet.kernel.loop import Loop
from cumulet.kernel.moment import Moment
from cumulet.kernel.run import CommandFailed, run
from cumulet.kernel.secrets import write_private
from cumulet.services.block_storage.contract import HOST_INITIATOR, INITIATOR, IQN, LUN, DiskSource, FileDisk
from cumulet.services.block_storage.drivers import sockets
from cumulet.services.block_storage.drivers.base import Capabilities, Door, Ended
from cumulet.services.block_storage.drivers.file import FileBackend
from cumulet.services.block_storage.drivers.kinds import NBD, BackendKind, Made, Place
from cumulet.services.block_storage.drivers.tgt import CONTROL, ENVIRONMENT, Mode, Op, Target, Tgt, TgtError
from cumulet.services.block_storage.drivers.watch import Watch
from cumulet.settings.base import UNSET
from cumulet.settings.block_storage import IscsiVolumeBackend

CAPABILITIES = Capabilities(
    name="iscsi",
    vendor="Cumulet",
    version="1",
    storage_protocol="iSCSI",
    thin_provisioning=True,
    online_extend=False,
    multiattach=True,
)
PROGRAM = "tgtd"
START_TIME = 20.0  # seconds until the daemon must answer
BIRTH_TIME = 0.5
LETTING_GO = 10.0  # seconds that it may need to end what a session has under way, before it is killed
LOGGING_IN = 0.5  # seconds that others may take to log in, where that has to be waited for
NOBODY = "nobody-"  # how accounts begin that take the places of those taken away; nobody is told their secrets
_NUMBERS = 2**30  # of targets
COPY_TIME = 3600.0
LOG_SIZE = 1 << 20  # bytes
PID_FILE, LOG_FILE, RECORD = "tgtd.pid", "tgtd.log", "export.json"
# The caching page (8) without its bit for the write cache (0x10 instead of 0x14), as tgt's own configuration has it.
_CACHE_OFF = "mode_page=8:0:18:0x10:0:0xff:0xff:0:0:0xff:0xff:0xff:0xff:0x80:0x14:0:0:0:0:0:0"


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What a client proves itself by."""

    user: str
    secret: str


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What the daemon has to be told of a volume: its file, and who may open it."""

    path: str
    clients: dict[str, Account]

    @property
    def initiators(self) -> set[str]:
        return {initiator_of(client) for client in self.clients}

    @property
    def users(self) -> set[str]:
        return {each.user for each in self.clients.values()}


class IscsiExporter:
    """`Exporter` of raw files at `address` and `port`, with a folder for each volume in `folder`.

    A client is a host's name or an initiator's own.
    """

    def __init__(
        self, folder: Path, loop: Loop, address: str, port: int, ended: Ended, *, write_cache: bool = False
    ) -> None:
        self._folder = folder.resolve()
        self._loop = loop
        self._address = address
        self._port = port
        self._ended = ended
        self._write_cache = write_cache
        self._tgt = Tgt(self._folder)
        self._watched: Watch | None = None
        self._withheld: set[str] = set()
        self._guard = threading.RLock()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def export(self, volume_id: str, source: DiskSource, clients: Sequence[str], port: int = 0) -> int:
        if not isinstance(source, FileDisk) or source.format != "raw":
            raise Conflict("Only raw files are exported over iSCSI.", code="ExportFailed")
        with self._guard:
            self._keep(volume_id, str(source.path), clients)
            if self._runs():
                self._apply(volume_id)
            else:
                failures = self._start()
                self._watch()
                if volume_id in failures:
                    raise failures[volume_id]
            self._watch()
            return self._port

    def door(self, volume_id: str, client: str) -> Door:
        record = self._record(volume_id)
        if record is None or client not in record.clients:
            raise NotFound(f"Volume {volume_id} is not exported to {client}.")
        account = record.clients[client]
        return Door(
            protocol="iscsi",
            export=target_of(volume_id),
            initiator=initiator_of(client),
            user=account.user,
            secret=account.secret,
        )

    def stop(self, volume_id: str, *, for_good: bool = True) -> None:
        with self._guard:
            place = self._place(volume_id)
            if not for_good:
                self._kill()
                return
            (place / RECORD).unlink(missing_ok=True)
            if not self._records():
                self._kill()
            elif self._runs():
                self._remove(volume_id)
            shutil.rmtree(place, ignore_errors=True)

    def exports(self) -> list[str]:
        with self._guard:
            found = set(self._records())
            if self._runs():
                with contextlib.suppress(NotReady):
                    found |= {name.removeprefix(target_of("")) for name in self._tgt.targets()}
            return sorted(found)

    def resize(self, volume_id: str, size: int) -> None:
        record = self._record(volume_id)
        if record is None:
            raise NotReady(f"Volume {volume_id} is not exported.")
        if Path(record.path).stat().st_size < size:
            raise Conflict("A volume that is open over iSCSI cannot be extended.", code="ExtendNotSupported")

    def copy(
        self, volume_id: str, target: Path, target_format: Literal["qcow2", "raw"], moment: Moment | None = None
    ) -> None:
        if moment is not None:
            moment.ready()
        with self._withdrawn(volume_id) as path:
            if moment is not None:
                moment.still()
                moment.begun()  # nobody writes here before the copy has ended, which the others need not wait for
            try:
                words = ("convert", "-q", "-n", "-f", "raw", "-O", target_format)
                run(["qemu-img", *words, path, target], timeout=COPY_TIME)
            except CommandFailed as failure:
                raise Conflict(f"The volume cannot be copied: {failure.output[-300:]}", code="CopyFailed") from failure

    def close(self) -> None:
        with self._guard:
            self._forget()

    # -- inside ------------------------------------------------------------------------------------------------------

    def _place(self, volume_id: str) -> Path:
        if "/" in volume_id or volume_id.startswith("."):
            raise NotFound(f"{volume_id} is not the name of a volume.")
        return self._folder / volume_id

    def _record(self, volume_id: str) -> Record | None:
        try:
            return msgspec.json.decode((self._place(volume_id) / RECORD).read_bytes(), type=Record)
        except FileNotFoundError:
            return None

    def _records(self) -> list[str]:
        return sorted(path.parent.name for path in self._folder.glob(f"*/{RECORD}"))

    def _keep(self, volume_id: str, path: str, clients: Sequence[str]) -> None:
        """Write down what is wanted; who is new gets a secret, and who goes loses it."""
        have = self._record(volume_id)
        known = {} if have is None else have.clients
        for client in clients:
            initiator_of(client)
        wanted = Record(path=path, clients={each: known.get(each) or _account() for each in sorted(set(clients))})
        if wanted != have:
            self._place(volume_id).mkdir(mode=0o700, exist_ok=True)
            write_private(self._place(volume_id) / RECORD, msgspec.json.encode(wanted).decode())

    def _runs(self) -> bool:
        running = detached.Process.of(self._folder / PID_FILE)
        if running is None:
            return False
        running.close()
        return True

    def _start(self) -> dict[str, CumuletError]:
        """Start the daemon with all targets; what went wrong, by volume."""
        address = f"[{self._address}]" if ":" in self._address else self._address
        portal = f"portal={address}:{self._port}"
        argv = [PROGRAM, "-f", "-C", str(CONTROL), "--iscsi", portal, "--pid-file", str(self._folder / PID_FILE)]
        detached.launch(argv, self._folder / LOG_FILE, env=ENVIRONMENT)
        self._await_answer()
        failures: dict[str, CumuletError] = {}
        for volume_id in self._records():
            try:
                self._apply(volume_id)
            except CumuletError as error:
                failures[volume_id] = error
        return failures

    def _await_answer(self) -> None:
        began = time.monotonic()
        while time.monotonic() < began + START_TIME:
            try:
                self._tgt.targets()
            except NotReady:
                # A program that was started this moment has no arguments yet, by which it is known.
                if time.monotonic() > began + BIRTH_TIME and not self._runs():
                    break
                time.sleep(0.02)
            else:
                return
        self._kill()
        words = detached.last_words(self._folder / LOG_FILE)
        raise NotReady(f"The daemon of the iSCSI targets did not start: {words[-300:]}")

    def _apply(self, volume_id: str) -> None:
        """See that the volume's target is there and open to those of the record, and to no other."""
        record = self._record(volume_id)
        if record is None or volume_id in self._withheld:
            return
        self._shorten_log()
        try:
            targets = self._tgt.targets()
            have = targets.get(target_of(volume_id))
            if have is not None and not self._fits(have, record):
                self._delete(have.name)
                have = None
            if have is None:
                number = _free_number({each.number for each in targets.values()})
                self._tgt.ask(Op.NEW, Mode.TARGET, f"targetname={target_of(volume_id)}", number=number)
                have = Target(number, target_of(volume_id))
            if not have.initiators:
                self._open(have, volume_id, record)
            self._admit(have, record)
        except TgtError as error:
            raise Conflict(f"The volume cannot be exported: tgtd says {error}.", code="ExportFailed") from error

    def _open(self, target: Target, volume_id: str, record: Record) -> None:
        """Give the target its disk, while nobody is admitted to it."""
        if not Path(record.path).exists():
            raise NotFound(f"{volume_id} is not on this host.")
        if "," in record.path:
            raise Conflict("The folder of the volumes has a comma in its name.", code="ExportFailed")
        if not target.path:
            self._tgt.ask(Op.NEW, Mode.LUN, f"path={record.path}", number=target.number, lun=LUN)
        name = volume_id.replace("-", "")
        # A serial number and an identifier that stay, whatever number the target has after a restart.
        words = [f"scsi_sn={name[:32]}", f"scsi_id={name[:20]}", "vendor_id=CUMULET", "product_id=VOLUME"]
        words += ["thin_provisioning=1", *([] if self._write_cache else [_CACHE_OFF])]
        for word in words:
            self._tgt.ask(Op.UPDATE, Mode.LUN, f"targetOps {word},", number=target.number, lun=LUN)

    def _admit(self, target: Target, record: Record) -> None:
        """Those of the record have accounts and are admitted; a target that has no accounts asks for none."""
        for account in record.clients.values():
            if account.user in target.accounts:
                continue
            nobody = next((each for each in target.accounts if each.startswith(NOBODY)), None)
            if nobody is not None:
                self._replace(target, nobody, account)
            else:
                self._make_account(account)
                self._tgt.ask(Op.BIND, Mode.ACCOUNT, f"user={account.user}", number=target.number)
        for initiator in record.initiators - target.initiators:
            self._tgt.ask(Op.BIND, Mode.TARGET, f"initiator-name={initiator}", number=target.number)

    def _fits(self, target: Target, record: Record) -> bool:
        """Whether the target can stay as it is, without those that are not of the record: they are sent away."""
        if target.path not in ("", record.path):
            return False
        others = target.accounts - record.users
        strangers = target.initiators - record.initiators
        if not others and not strangers:
            return True
        if not target.initiators & record.initiators:
            return False  # nobody would notice that it is made anew
        for initiator in strangers:
            self._tgt.ask(Op.UNBIND, Mode.TARGET, f"initiator-name={initiator}", number=target.number)
        for user in others:
            if not user.startswith(NOBODY):  # such a one may be all that an agent which was killed has left to do
                nobody = Account(user=NOBODY + secrets.token_hex(8), secret=secrets.token_hex(8))
                self._replace(target, user, nobody)
        self._expel(target.name, record.initiators)
        return self._nobody_logs_in(target.name, record)

    def _replace(self, target: Target, user: str, new: Account) -> None:
        """Take an account away, and put another one in its place.

        The daemon (tgt 1.0.85) keeps a free place for it, and does not survive to show a target that has one.
        """
        self._make_account(new)
        self._tgt.ask(Op.UNBIND, Mode.ACCOUNT, f"user={user}", number=target.number)
        self._tgt.ask(Op.BIND, Mode.ACCOUNT, f"user={new.user}", number=target.number)
        self._tgt.ask(Op.DELETE, Mode.ACCOUNT, f"user={user}")
        target.accounts = (target.accounts - {user}) | {new.user}

    def _make_account(self, new: Account) -> None:
        with contextlib.suppress(TgtError):  # it is there already
            self._tgt.ask(Op.NEW, Mode.ACCOUNT, f"user={new.user},password={new.secret}")

    def _nobody_logs_in(self, name: str, record: Record) -> bool:
        """Whether every connection belongs to a session that is shown: one that is being made was let in before.

        Who has proved itself is not asked again when its login ends, however long that takes.
        """
        deadline = time.monotonic() + LOGGING_IN
        while time.monotonic() < deadline:
            before = self._tgt.targets()
            connections = _connections_of(self._folder / PID_FILE, self._port)
            after = self._tgt.targets()
            shown = [each.connections for each in after.values()]
            if shown == [each.connections for each in before.values()] and connections == sum(map(len, shown)):
                return name in after and after[name].sessions <= record.initiators
            time.sleep(0.01)
        return False

    def _expel(self, name: str, kept: Set[str] = frozenset()) -> None:
        """End the sessions of all but those that are `kept`, and what they have under way.

        NotReady where the daemon has to be ended for that. It shows a session for as long as that has something to do.
        """
        deadline = time.monotonic() + LETTING_GO
        while (target := self._tgt.targets().get(name)) is not None and target.sessions - kept:
            if time.monotonic() > deadline:
                self._restart()
                raise NotReady("The daemon of the iSCSI targets did not let go of a volume.")
            for session, connection, initiator in target.connections:
                if initiator in kept:
                    continue
                with contextlib.suppress(TgtError):
                    self._tgt.ask(
                        Op.DELETE, Mode.CONNECTION, number=target.number, session=session, connection=connection
                    )
            time.sleep(0.01)

    def _close(self, target: Target) -> None:
        """Nobody has the target's disk open any more, the daemon neither."""
        for initiator in target.initiators:
            self._tgt.ask(Op.UNBIND, Mode.TARGET, f"initiator-name={initiator}", number=target.number)
        self._expel(target.name)
        deadline = time.monotonic() + LETTING_GO
        while target.path:
            try:
                self._tgt.ask(Op.DELETE, Mode.LUN, number=target.number, lun=LUN)
                return
            except TgtError as error:
                if time.monotonic() > deadline:
                    self._restart()
                    raise NotReady("The daemon of the iSCSI targets did not let go of a volume.") from error
                time.sleep(0.01)

    def _delete(self, name: str) -> None:
        target = self._tgt.targets().get(name)
        if target is None:
            return
        self._close(target)
        self._tgt.ask(Op.DELETE, Mode.TARGET, number=target.number, force=True)
        for user in target.accounts:  # no target has them any more
            self._tgt.ask(Op.DELETE, Mode.ACCOUNT, f"user={user}")

    def _remove(self, volume_id: str) -> None:
        """The target is gone, if the daemon has to go with it; the others are there again then."""
        try:
            self._delete(target_of(volume_id))
        except (NotReady, TgtError):
            self._restart()

    @contextmanager
    def _withdrawn(self, volume_id: str) -> Iterator[Path]:
        """Keep the clients away, who wait with what they want to write; the file, which nobody has open."""
        record = self._record(volume_id)
        if record is None:
            raise NotReady(f"Volume {volume_id} is not exported any more.")
        try:
            with self._guard:
                self._withheld.add(volume_id)
                target = self._tgt.targets().get(target_of(volume_id))
                if target is not None:
                    self._close(target)
            yield Path(record.path)
        finally:
            with self._guard:
                self._withheld.discard(volume_id)
                if self._runs():
                    self._apply(volume_id)

    def _restart(self) -> None:
        """Whatever the daemon has under way ends with it; those that are wanted come back."""
        self._kill()
        self._tell()

    def _kill(self) -> None:
        self._forget()
        running = detached.Process.of(self._folder / PID_FILE)
        if running is not None:
            with running:
                running.kill()

    def _shorten_log(self) -> None:
        """Strangers at the port can make the daemon say much; it appends, so the file may be cut under it."""
        log = self._folder / LOG_FILE
        with contextlib.suppress(FileNotFoundError):
            if log.stat().st_size > LOG_SIZE:
                os.truncate(log, 0)

    def _watch(self) -> None:
        if self._watched is not None:
            return
        running = detached.Process.of(self._folder / PID_FILE)
        if running is None:
            self._tell()
            return
        with running, contextlib.suppress(ProcessLookupError):
            self._watched = Watch(self._loop, running.pid, self._gone)

    def _forget(self) -> None:
        if self._watched is not None:
            self._watched.stop()
            self._watched = None

    def _gone(self, watch: Watch) -> None:
        """The daemon has ended by itself."""
        with self._guard:
            if self._watched is not watch:
                return
            self._watched = None
            self._tell()

    def _tell(self) -> None:
        """The first of them that comes back brings the daemon with it, and all others."""
        for volume_id in self._records():
            threading.Thread(target=self._ended, args=(volume_id,), name="export-ended", daemon=True).start()


def target_of(volume_id: str) -> str:
    """The name of the volume's target."""
    return f"{IQN}volume-{volume_id}"


def initiator_of(client: str) -> str:
    """The name of the initiator that the client has; Invalid for what is none."""
    name = client if client[:4] in ("iqn.", "eui.", "naa.") else f"{HOST_INITIATOR}{client}"
    if not INITIATOR.fullmatch(name):
        raise Invalid(f"{client} is not the name of an initiator.")
    return name


def _free_number(taken: set[int]) -> int:
    """A number that no target has, nor is likely to have had: a login that is under way means its target by that."""
    while (number := secrets.randbelow(_NUMBERS) + 1) in taken:
        pass
    return number


def _connections_of(pid_file: Path, port: int) -> int:
    """How many connections to the port the daemon has."""
    running = detached.Process.of(pid_file)
    if running is None:
        raise NotReady("The daemon of the iSCSI targets does not answer.")
    with running:
        return sockets.count(running.pid, port)


def _account() -> Account:
    return Account(user=secrets.token_hex(8), secret=secrets.token_hex(8))


def _back_end(place: Place) -> Made:
    said = place.settings
    elsewhere = said.folder != UNSET
    targets = place.host.state / "block_storage" / "targets" / said.name
    exporter = IscsiExporter(
        targets, place.host.loop, place.address, said.port, place.ended, write_cache=said.write_cache
    )
    backend = FileBackend(said.folder.absolute() if elsewhere else place.folder, "raw", CAPABILITIES)
    return Made(backend, {NBD: place.nbd(), "iscsi": exporter}, elsewhere)


KIND = BackendKind(IscsiVolumeBackend, _back_end)
