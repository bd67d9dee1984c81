#!/bin/sh
""":"
# For the shell, which is only to find Python, and to start it so that nothing of the surroundings is imported.
command -v python3 > /dev/null 2>&1 && exec python3 -I -S -B "$0" "$@"
echo 'error: there is no python3 on PATH' >&2
echo 'help: use scripts/backstop or scripts/rollback.sh, which need none' >&2
exit 3
":"""

"""Brings a Cargo workspace back to a restore point, from the store alone.

This is backstop's `rollback` for machines on which the executable beside it does not run. It needs Python 3.8 or
later and nothing else: no cargo, no toolchain, no network. It makes the same plan, keeps the same journal and says
the same words; what it began, `backstop rollback --resume` or `--abort` ends, and the other way round.

    rollback.py -t latest             shows what it would do, and asks
    rollback.py -t 20261123_05 -f     does not ask; the start of an id is enough
    rollback.py -t latest --dry-run   shows it and stops
    rollback.py --undo                undoes the last rollback
    rollback.py --resume | --abort    ends one that was cut off

Exit codes: 0 done; 1 done, and something else changed files meanwhile; 2 wrong command line; 3 could not be done,
nothing was changed; 4 a rollback was cut off; 5 another run holds the store.

Unlike the executable it makes no restore point of the present; everything that it replaces or removes is moved to
`rollback/displaced_TS/`, which is what `--undo` needs. The formats are described in backstop's `FORMAT.md`.
"""

import sys

if sys.version_info < (3, 8):
    sys.stderr.write("error: this needs Python 3.8 or later\nhelp: use scripts/rollback.sh or scripts/backstop\n")
    sys.exit(3)
if not (sys.flags.isolated and sys.flags.no_site and sys.flags.dont_write_bytecode):
    # Started in another way: nothing that lies beside this file, in the current directory or on PYTHONPATH is to be
    # imported. This module is built in.
    import posix

    try:
        posix.stat(__file__)
        posix.execv(sys.executable, [sys.executable, "-I", "-S", "-B", __file__] + sys.argv[1:])
    except Exception as failure:
        sys.stderr.write(f"error: Python cannot be started isolated: {failure}\nhelp: python3 -ISB {sys.argv[0]!r}\n")
        sys.exit(3)

try:
    import argparse
    import bisect
    import calendar
    import collections
    import errno
    import fcntl
    import functools
    import hashlib
    import json
    import os
    import re
    import signal
    import stat
    import subprocess
    import time
    import zlib
except Exception as failure:
    sys.stderr.write(f"error: Python's own library cannot be read: {failure}\n")
    sys.stderr.write("help: use scripts/backstop or scripts/rollback.sh\n")
    sys.exit(3)

# ---- errors, and what is told

CODES = {"usage": 2, "cut off": 4, "busy": 5}
SHOWN_DETAILS = 40


class Problem(Exception):
    """A failure: its kind decides the exit code; details name places; help names the remedy."""

    def __init__(self, kind, message, details=(), help=None, cause=None):
        super().__init__(message)
        self.kind, self.message, self.details, self.help, self.cause = kind, message, list(details), help, cause

    def lines(self):
        return [self.message] + self.details


class Stopped(Exception):
    """The user asked to stop after the commit."""


class During:
    """Names what was being done to which path when the operating system refused."""

    def __init__(self, operation, path):
        self.operation, self.path = operation, path

    def __enter__(self):
        return self

    def __exit__(self, kind, failure, trace):
        if isinstance(failure, OSError):
            raise io_problem(self.operation, self.path, failure) from None


def io_problem(operation, path, failure):
    return Problem("io", f"failed to {operation} `{show(path)}`", cause=failure)


def as_problem(failure):
    """Any exception as a `Problem`."""
    if isinstance(failure, Problem):
        return failure
    if isinstance(failure, OSError):
        return Problem("io", "a call to the operating system failed", cause=failure)
    return Problem("io", f"an unexpected {type(failure).__name__}: {show(str(failure))}")


def causes(problem):
    cause = problem.cause
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno is not None:
            yield f"{os.strerror(cause.errno)} (os error {cause.errno})"
        else:
            yield str(cause)
        cause = getattr(cause, "cause", None)


ODD = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\udc80-\udcff]")


def show(name):
    """A name made fit to be shown: control characters, marks that reorder text, bytes that are not UTF-8."""

    def escape(found):
        code = ord(found.group())
        if 0xDC80 <= code <= 0xDCFF:
            return f"\\x{code - 0xDC00:02x}"
        short = {10: "\\n", 13: "\\r", 9: "\\t"}.get(code)
        return short or (f"\\x{code:02x}" if code < 0x80 else f"\\u{{{code:x}}}")

    text = name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name
    return ODD.sub(escape, text)


def shown(root, path):
    return show(path) if not root else f"{show(root)}:{show(path)}"


def plural(n, one, many):
    return f"{n} {one if n == 1 else many}"


def sentences(indent, text):
    """Breaks text at 80 columns, between words, never inside of backticks."""
    lines = []
    for number, line in enumerate(text.split("\n")):
        if line.startswith(" "):
            lines.append(line)
            continue
        pieces, quoted = [], False
        for word in line.split(" "):
            named = pieces and pieces[-1].startswith("--") and " " not in pieces[-1] and word[:1].isupper()
            if pieces and (quoted or named):
                pieces[-1] += " " + word
            else:
                pieces.append(word)
            quoted ^= word.count("`") % 2 == 1
        out, column = [], indent
        for piece in pieces:
            if column == indent:
                out.append(piece)
            elif column + 1 + len(piece) > 80:
                out.append("\n" + " " * indent + piece)
                column = indent
            else:
                out.append(" " + piece)
                column += 1
            column += len(piece)
        lines.append((" " * indent if number else "") + "".join(out))
    return "\n".join(lines)


def put(fd, text):
    """Writes to a standard stream. A reader that went away is no error."""
    data = text.encode("utf-8", "backslashreplace")
    try:
        while data:
            data = data[os.write(fd, data):]
    except OSError:
        pass


class Teller:
    """Tells what happens: reports to standard output, the rest to standard error, all of it to the log."""

    def __init__(self):
        self.quiet = self.verbose = False
        self.log = self.log_path = None

    def report(self, text):
        if not self.quiet:
            put(1, text)

    def say(self, text):
        if not self.quiet:
            put(2, text + "\n")

    def open_log(self, store, id):
        self.log_path = store.path(b"logs", b"rollback_%s.log" % id)
        try:
            self.log = os.fdopen(os.open(self.log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "wb")
        except OSError as failure:
            self.note(f"no log is written: {show(self.log_path)}: {os.strerror(failure.errno)}")

    def line(self, text):
        if self.log:
            try:
                self.log.write(f"{rfc3339()} {show(text)}\n".encode("utf-8", "backslashreplace"))
            except OSError:
                self.log = None

    def end_log(self, problem, summary):
        if problem is None:
            self.line(f"result: {summary}")
        else:
            for text in problem.lines():
                self.line(f"error: {text}")
            for text in causes(problem):
                self.line(f"caused by: {text}")
        if self.log:
            try:
                self.log.flush()
            except OSError:
                pass

    def phase(self, verb, what, total=0):
        self.line(f"phase: {verb} {what} ({total})")

    def file(self, verb, path, detail):
        self.line(f"file: {verb} {path} {detail}")
        if self.verbose:
            self.say(f"{verb:>12} {path}")

    def note(self, text):
        self.line(f"note: {text}")
        self.say(f"note: {sentences(6, text)}")


tell = Teller()
wanted_stop = {"asked": False, "at_question": False}


def on_signal(number, frame):
    if wanted_stop["at_question"]:
        os._exit(3)
    wanted_stop["asked"] = True


def check_interrupt():
    if wanted_stop["asked"]:
        raise Problem("interrupted", "stopped on request; nothing was changed")


# ---- values: times, ids, paths, things


def rfc3339(nanoseconds=None):
    seconds, rest = divmod(time.time_ns() if nanoseconds is None else nanoseconds, 10**9)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:09}Z"


def parse_id(text):
    """The seconds since 1970 that an id names; `None` where it is none."""
    found = re.fullmatch(rb"(\d{4})(\d\d)(\d\d)_(\d\d)(\d\d)(\d\d)", text)
    if not found:
        return None
    year, month, day, hour, minute, second = map(int, found.groups())
    if not (year and 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]):
        return None
    if hour > 23 or minute > 59 or second > 59:
        return None
    return calendar.timegm((year, month, day, hour, minute, second))


def id_at(seconds):
    return time.strftime("%Y%m%d_%H%M%S", time.gmtime(seconds)).encode()


def is_label(text):
    return re.fullmatch(rb"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", text) is not None


def rel(path):
    """A relative path that cannot leave the directory it is joined to, or `ValueError`."""
    if path.startswith(b"/"):
        raise ValueError("path is absolute")
    if b"\0" in path:
        raise ValueError("path has a NUL byte")
    for name in path.split(b"/"):
        if not name:
            raise ValueError("path has an empty component")
        if name in (b".", b".."):
            raise ValueError("path has a component `.` or `..`")
    return path


def unescape(text):
    """Reads the text form of a path: `\\xHH` and `\\\\`."""

    def one(found):
        if found.group(1) is not None:
            return bytes([int(found.group(1), 16)])
        if found.group(2) is not None:
            return b"\\"
        raise ValueError("path has a malformed escape")

    data = text.encode("utf-8") if isinstance(text, str) else text
    return re.sub(rb"\\x([0-9a-fA-F]{2})|(\\\\)|\\", one, data)


def parent(path):
    return path.rpartition(b"/")[0]


def basename(path):
    return path.rpartition(b"/")[2]


def ancestors(path):
    """Every directory above the path, nearest first."""
    while b"/" in path:
        path = parent(path)
        yield path


def is_root_name(name):
    return name not in (b".", b"..") and b"/" not in name


def is_in(path, directory):
    return path == directory or path.startswith(directory + b"/")


def holds(places, root, path):
    """Whether a set of places, an empty path for a whole root, has the path or a directory above it."""
    return (root, path) in places or (root, b"") in places or any((root, a) in places for a in ancestors(path))


def is_version_control(name):
    return name.lower() in (b".git", b".jj", b".hg")


def leads_to_version_control(path):
    return any(map(is_version_control, path.split(b"/")))


def stored_path(root, path):
    return b"files/" + path if not root else b"outside/" + root + b"/" + path


# What stands at a path: the four fields of the journal. A file that cannot be read has no content.
Thing = collections.namedtuple("Thing", "kind mode size content")
NOTHING = Thing(b"none", b"", b"", b"")
SPECIAL = Thing(b"special", b"", b"", b"")
NOUNS = {b"file": "file", b"directory": "directory", b"symlink": "link", b"special": "special file", b"none": "nothing"}
MODE, NUMBER, DIGEST = (re.compile(p).fullmatch for p in (rb"[0-7]{4}", rb"[0-9]{1,20}", rb"[0-9a-f]{64}"))


def a_file(mode, size, digest):
    return Thing(b"file", b"%04o" % (mode & 0o7777), b"%d" % size, digest)


def a_directory(mode):
    return Thing(b"directory", b"%04o" % (mode & 0o7777), b"", b"")


def a_symlink(target):
    return Thing(b"symlink", b"", b"", target)


def parse_thing(kind, mode, size, content):
    if kind == b"none":
        return NOTHING
    if kind == b"special":
        return SPECIAL
    if kind == b"symlink":
        return a_symlink(content)
    if kind == b"directory" and MODE(mode):
        return a_directory(int(mode, 8))
    if kind == b"file" and MODE(mode) and NUMBER(size) and int(size) < 1 << 64 and (not content or DIGEST(content)):
        return a_file(int(mode, 8), int(size), content)
    raise ValueError("malformed fields")


def is_dir(thing):
    return thing.kind == b"directory"


def bits(thing):
    return int(thing.mode, 8)


def same_content(a, b):
    """Whether content and kind are the same; the mode may differ."""
    if a.kind != b.kind or a.kind in (b"none", b"special"):
        return False
    return is_dir(a) or (a.content == b.content and a.content != b"")


def forbids_writing(thing):
    return is_dir(thing) and bits(thing) & 0o300 != 0o300


# ---- NUL-ended fields


def seal(fields):
    data = b"".join(field.replace(b"\0", b"") + b"\0" for field in fields)
    return data + b"end\0" + hashlib.sha256(data).hexdigest().encode() + b"\0"


def unseal(data):
    """The fields before the seal, and what stands behind it; `ValueError` where that is cut off or damaged."""
    hasher, hashed, at = hashlib.sha256(), 0, -1
    while True:
        at = data.find(b"end\0", at + 1)
        if at < 0:
            raise ValueError("no seal")
        if at and data[at - 1]:
            continue
        hasher.update(memoryview(data)[hashed:at])
        hashed = at
        if data[at + 4:at + 69] == hasher.hexdigest().encode() + b"\0":
            return Fields(data[:at].split(b"\0")[:-1]), data[at + 69:]


class Fields:
    """Reads fields; whatever is malformed is a `ValueError`."""

    def __init__(self, fields):
        self.fields, self.at = fields, 0

    def next(self):
        if self.at == len(self.fields):
            raise ValueError("fields end early")
        self.at += 1
        return self.fields[self.at - 1]

    def text(self):
        field = self.next()
        field.decode("utf-8")
        return field

    def expect(self, *names):
        if any(self.next() != name for name in names):
            raise ValueError("malformed fields")

    def number(self):
        field = self.next()
        if not NUMBER(field):
            raise ValueError("no number")
        return int(field)

    def id(self):
        field = self.next()
        if parse_id(field) is None:
            raise ValueError("no id")
        return field

    def list(self, name, item):
        self.expect(name)
        return [item() for _ in range(self.number())]

    def end(self):
        if self.at != len(self.fields):
            raise ValueError("fields behind the end")


# ---- files: those of the store by path, those of the workspace below an open directory

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
DENIED = (errno.EACCES, errno.EPERM)
CHUNK = 128 * 1024


@functools.lru_cache(None)
def system_calls():
    """`renameat2` that replaces nothing, and `syncfs`, where the system has them."""
    if os.environ.get("BACKSTOP_PORTABLE"):
        # For tests of the fallbacks.
        return None, None
    try:
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
    except Exception:
        return None, None

    def call(function, *arguments):
        if function(*arguments) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    linux = sys.platform.startswith("linux")
    move = getattr(libc, "renameat2" if linux else "renameatx_np", None)
    here, flag = (-100, 1) if linux else (-2, 4)
    sync = getattr(libc, "syncfs", None) if linux else None

    def rename(a, from_name, b, to_name):
        a, b = (here if fd is None else fd for fd in (a, b))
        call(move, a, ctypes.c_char_p(from_name), b, ctypes.c_char_p(to_name), ctypes.c_uint(flag))

    return rename if move else None, (lambda fd: call(sync, fd)) if sync else None


def rename_without_replacing(a, from_name, b, to_name):
    """Renames; where something stands in the place, that is EEXIST."""
    rename = system_calls()[0]
    if rename:
        try:
            return rename(a, from_name, b, to_name)
        except OSError as failure:
            # Some file systems (NFS, FUSE) know no flags.
            if failure.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
    try:
        os.stat(to_name, dir_fd=b, follow_symlinks=False)
    except FileNotFoundError:
        return os.rename(from_name, to_name, src_dir_fd=a, dst_dir_fd=b)
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))


def identity(found):
    return (found.st_ino, found.st_size, found.st_mtime_ns)


def exists(path):
    return os.path.lexists(path)


def read_file(path):
    with open(path, "rb") as file:
        return file.read()


def flush(fd):
    """Makes one open file or directory durable. On macOS a plain `fsync` leaves it in the drive's cache."""
    if hasattr(fcntl, "F_FULLFSYNC"):
        try:
            return fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
        except OSError as failure:
            if failure.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOTTY):
                raise
    os.fsync(fd)


def sync(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        flush(fd)
    finally:
        os.close(fd)


def barrier(fd, one_by_one):
    """Makes a whole file system durable. Without `syncfs`, everything that changed, and its directories."""
    call = system_calls()[1]
    if call:
        return call(fd)
    one_by_one()
    flush(fd)


def flush_at(path, dir_fd=None):
    """Makes one file or directory durable, where it can be opened at all: a link or a pipe has no content."""
    try:
        fd = os.open(path, READ, dir_fd=dir_fd)
    except OSError as failure:
        if failure.errno in GONE + DENIED + (errno.ENXIO,):
            return
        raise
    try:
        if stat.S_IFMT(os.fstat(fd).st_mode) in (stat.S_IFREG, stat.S_IFDIR):
            flush(fd)
    finally:
        os.close(fd)


def create(path, dir_fd=None):
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=dir_fd)


def write_all(fd, data):
    data = memoryview(data)
    while data:
        data = data[os.write(fd, data):]


def set_time(path, nanoseconds, dir_fd=None):
    found = os.stat(path, dir_fd=dir_fd, follow_symlinks=False)
    os.utime(path, ns=(found.st_atime_ns, nanoseconds), dir_fd=dir_fd, follow_symlinks=False)


def remove_if_there(path):
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def sibling(path):
    directory, _, name = path.rpartition(b"/")
    return directory + b"/." + name + b".new"


def replace_file(path, data):
    """Puts `data` in place of a file, old or new at every instant. The directory is not synced."""
    remove_if_there(sibling(path))
    fd = create(sibling(path))
    try:
        write_all(fd, data)
        os.fchmod(fd, 0o600)
        flush(fd)
    finally:
        os.close(fd)
    os.rename(sibling(path), path)


def create_directories(path):
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        if not os.path.isdir(path):
            raise
    except FileNotFoundError:
        create_directories(parent(path))
        os.mkdir(path, 0o700)


def below(path):
    """Everything below a directory, its own directories last and the deepest first: (path, whether a directory)."""
    pending = [(path, False)]
    while pending:
        directory, done = pending.pop()
        if done:
            yield directory, True
            continue
        pending.append((directory, True))
        with os.scandir(directory) as entries:
            for entry in list(entries):
                if entry.is_dir(follow_symlinks=False):
                    pending.append((entry.path, False))
                else:
                    yield entry.path, False


def remove_tree(path):
    """Removes a directory of the store with all that is in it. Follows no links."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(found.st_mode):
        return os.unlink(path)
    for each, directory in below(path):
        os.rmdir(each) if directory else os.unlink(each)


def remove_empty_directories(path):
    if exists(path):
        for each, directory in below(path):
            try:
                if directory:
                    os.rmdir(each)
            except OSError as failure:
                if failure.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise


def set_directory_modes(path, mode):
    if exists(path):
        for each, directory in below(path):
            if directory and stat.S_IMODE(os.lstat(each).st_mode) != mode:
                os.chmod(each, mode)


def digest_of(fd, size):
    """The digest of an open file; empty where it does not have just that size."""
    hasher, total = hashlib.sha256(), 0
    while True:
        data = os.read(fd, CHUNK)
        if not data:
            return hasher.hexdigest().encode() if total == size else b""
        hasher.update(data)
        total += len(data)


def copy(from_fd, to_fd):
    """Copies everything; gives the digest of what was copied."""
    hasher = hashlib.sha256()
    while True:
        data = os.read(from_fd, CHUNK)
        if not data:
            return hasher.hexdigest().encode()
        hasher.update(data)
        write_all(to_fd, data)


class Tree:
    """Files below an open directory. Every component of a path is opened in turn without following links, so that
    nothing is read or written outside, also where somebody swaps a directory for a link meanwhile."""

    def __init__(self, path):
        self.path = path
        self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        self.last = None

    def full(self, path):
        return os.path.join(self.path, path)

    def directory(self, path):
        fd = os.dup(self.fd)
        for name in path.split(b"/") if path else ():
            try:
                inner = os.open(name, DIRECTORY, dir_fd=fd)
            finally:
                os.close(fd)
            fd = inner
        return fd

    def above(self, path):
        """The directory that holds a path, open: for `with`."""
        return Opened(self.directory(parent(path)), basename(path))

    def forget(self):
        """Forgets the directory that `look` was in last."""
        if self.last:
            os.close(self.last[1])
        self.last = None

    def near(self, path):
        """As `above`, and remembered: for looking at many paths in order."""
        directory = parent(path)
        if not self.last or self.last[0] != directory:
            self.forget()
            self.last = (directory, self.directory(directory))
        return self.last[1], basename(path)

    def stat(self, path, near=False):
        """What `lstat` says; `None` where nothing stands, or where a component above is no directory."""
        try:
            if near:
                fd, name = self.near(path)
                return os.stat(name, dir_fd=fd, follow_symlinks=False)
            with self.above(path) as (fd, name):
                return os.stat(name, dir_fd=fd, follow_symlinks=False)
        except OSError as failure:
            if failure.errno in GONE:
                return None
            raise

    def look(self, path):
        """What stands at a path; for one look."""
        self.forget()
        try:
            return self.look_near(path)
        finally:
            self.forget()

    def look_near(self, path):
        """What stands at a path; fast for paths in sorted order, between which nothing moves."""
        found = self.stat(path, near=True)
        if found is None:
            return NOTHING
        fd, name = self.near(path)
        try:
            if stat.S_ISDIR(found.st_mode):
                return a_directory(found.st_mode)
            if stat.S_ISLNK(found.st_mode):
                return a_symlink(os.readlink(name, dir_fd=fd))
            if not stat.S_ISREG(found.st_mode):
                return SPECIAL
            file = os.open(name, READ, dir_fd=fd)
            try:
                return a_file(found.st_mode, found.st_size, digest_of(file, found.st_size))
            finally:
                os.close(file)
        except FileNotFoundError:
            return NOTHING
        except PermissionError:
            return a_file(found.st_mode, found.st_size, b"")

    def move_out(self, path, to):
        with self.above(path) as (fd, name):
            rename_without_replacing(fd, name, None, to)

    def move_in(self, source, path):
        with self.above(path) as (fd, name):
            rename_without_replacing(None, source, fd, name)

    def rename(self, source, to):
        with self.above(source) as (a, from_name), self.above(to) as (b, to_name):
            rename_without_replacing(a, from_name, b, to_name)

    def create_directory(self, path, mode):
        with self.above(path) as (fd, name):
            os.mkdir(name, mode, dir_fd=fd)

    def create_file(self, path):
        with self.above(path) as (fd, name):
            return create(name, dir_fd=fd)

    def open(self, path):
        with self.above(path) as (fd, name):
            return os.open(name, READ, dir_fd=fd)

    def symlink(self, target, path):
        with self.above(path) as (fd, name):
            os.symlink(target, name, dir_fd=fd)

    def remove_file(self, path):
        with self.above(path) as (fd, name):
            os.unlink(name, dir_fd=fd)

    def remove_directory(self, path):
        with self.above(path) as (fd, name):
            os.rmdir(name, dir_fd=fd)

    def set_mode(self, path, mode):
        """Changes the permission bits of a file or directory, never of what a link points at."""
        with self.above(path) as (fd, name):
            for way in (os.O_RDONLY, os.O_WRONLY):
                try:
                    opened = os.open(name, way | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=fd)
                except OSError as failure:
                    refused = failure
                    continue
                try:
                    return os.fchmod(opened, mode)
                finally:
                    os.close(opened)
            if refused.errno != errno.EACCES:
                raise refused
            # Neither readable nor writable by its owner: a link is still refused, by a look just before.
            if stat.S_ISLNK(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode):
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            os.chmod(name, mode, dir_fd=fd)

    def set_time(self, path, nanoseconds):
        with self.above(path) as (fd, name):
            set_time(name, nanoseconds, dir_fd=fd)

    def set_owner(self, path, uid, gid):
        with self.above(path) as (fd, name):
            os.chown(name, uid, gid, dir_fd=fd, follow_symlinks=False)

    def barrier(self, changed):
        barrier(self.fd, lambda: self.sync_one_by_one(changed))

    def sync_one_by_one(self, changed):
        for path in sorted(set(changed) | {a for path in changed for a in ancestors(path)}):
            try:
                with self.above(path) as (fd, name):
                    flush_at(name, fd)
                    flush(fd)
            except OSError as failure:
                if failure.errno not in GONE:
                    raise


class Opened:
    """An open directory and a name in it."""

    def __init__(self, fd, name):
        self.fd, self.name = fd, name

    def __enter__(self):
        return self.fd, self.name

    def __exit__(self, *failure):
        os.close(self.fd)


# ---- the store

STATE_IDLE = b"idle\n"
Listed = collections.namedtuple("Listed", "id label session")


def backup_id(label, id):
    return label + b"_backup_" + id


def canonical(path):
    with During("find", path):
        os.stat(path)
    return os.path.realpath(path)


def read_info(directory):
    """`store.json`, or the reason why it is not to be had and whether it is merely lost."""
    path = os.path.join(directory, b"store.json")
    lost = "the restore points are plain files all the same: session_*/files/, and archives/*.tar.gz for tar"
    try:
        info = json.loads(read_file(path).decode("utf-8"))
    except OSError as failure:
        return None, True, Problem("no store", f"there is no store at `{show(directory)}`", help=lost, cause=failure)
    except (ValueError, RecursionError):
        return None, True, Problem("no store", f"`{show(path)}` does not parse", help=lost)
    version = info.get("backstop_store") if isinstance(info, dict) else None
    if not isinstance(version, int) or version < 0:
        return None, False, Problem("no store", f"`{show(path)}` is not backstop's")
    if version > 1:
        text = f"`{show(path)}` has format {version}; this version reads 1"
        help = "use the executable in the store's scripts/, or a newer backstop"
        return None, False, Problem("no store", text, help=help)
    try:
        ids = [info.get("last_id"), info.get("pending")]
        unescape(info["root"])
        if any(id is not None and parse_id(id.encode()) is None for id in ids):
            raise ValueError("no id")
    except (KeyError, ValueError, AttributeError, TypeError):
        return None, True, Problem("no store", f"`{show(path)}` is malformed", help=lost)
    return info, False, None


def looks_like_store(directory):
    has = functools.partial(os.path.join, directory)
    return os.path.isdir(has(b"metadata")) and os.path.isdir(has(b"rollback")) and os.path.isfile(has(b"state"))


def is_store(directory):
    return read_info(directory)[0] is not None or looks_like_store(directory)


def names_in(directory):
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []
    except OSError as failure:
        raise io_problem("read directory", directory, failure) from None


class Store:
    """An open store: where everything stands, and where its workspace is."""

    def __init__(self, directory, root=None):
        try:
            self.directory = canonical(directory)
        except Problem as problem:
            raise Problem(
                "no store", f"there is no store at `{show(directory)}`", cause=problem,
                help="make a restore point with `backup`, or name the store's directory: --store DIR")
        if not os.path.isdir(self.directory):
            raise Problem(
                "usage", f"`{show(directory)}` is a file; a store is a directory",
                help="name another place: `store = \"…\"` in [workspace.metadata.backstop], or --store DIR")
        info = self.info()
        name_it = "name the workspace with --manifest-path DIR/Cargo.toml; the file need not exist"
        if root is not None:
            self.root = canonical(root)
        elif not info["root"]:
            text = f"`{show(self.path(b'store.json'))}` is damaged or lost, and only it says where the workspace is"
            raise Problem("no store", text, help=name_it)
        else:
            try:
                self.root = canonical(os.path.join(self.directory, unescape(info["root"])))
            except Problem as problem:
                problem.kind, problem.help = "workspace", name_it
                raise

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def rollback(self, *names):
        return self.path(b"rollback", *names)

    def journal(self):
        return self.rollback(b"journal")

    def displaced(self, id, *names):
        return self.rollback(b"displaced_" + id, *names)

    def stage(self, id, *names):
        return self.rollback(b"stage_" + id, *names)

    def session(self, id, *names):
        return self.path(b"session_" + id, *names)

    def info(self):
        info, lost, problem = read_info(self.directory)
        if info is None and not (lost and looks_like_store(self.directory)):
            raise problem
        return info or {"root": ""}

    def root_directory(self, root):
        name, path = root
        return self.root if not name else os.path.normpath(os.path.join(self.root, unescape(path)))

    def is_cut_off(self):
        return os.path.exists(self.journal())

    def command(self, option, absolute=False):
        """How this script is called, as a person would type it."""
        script = self.path(b"scripts", b"rollback.py")
        if not os.path.exists(script):
            return f"{shell(os.path.realpath(os.fsencode(__file__)))} --store {shell(self.directory)} {option}"
        here = current_directory()
        if here and script.startswith(here + b"/") and not absolute:
            script = script[len(here) + 1:]
        return f"{shell(script)} {option}"

    def ways_out(self):
        ways = [f"        {self.command(option, True)}" for option in ("--resume", "--abort")]
        return "\n".join(["finish it, or take it back:"] + ways)

    def refuse_cut_off(self):
        if self.is_cut_off():
            text = "a rollback was cut off, and the workspace is between two states"
            raise Problem("cut off", text, help=self.ways_out())

    def restore_points(self):
        """All restore points, oldest first."""
        pending = (self.info().get("pending") or "").encode()
        found, metadata = {}, set()
        for directory, suffix in ((b"metadata", b".json"), (b"archives", b".tar.gz")):
            for name in names_in(self.path(directory)):
                label, between, id = name[:-len(suffix)].rpartition(b"_backup_")
                if name.endswith(suffix) and between and is_label(label) and parse_id(id) is not None:
                    found.setdefault(id, Listed(id, label, False))
                    if directory == b"metadata":
                        metadata.add(id)
        for name in names_in(self.directory):
            id = name[len(b"session_"):]
            if name.startswith(b"session_") and parse_id(id) is not None:
                label = found[id].label if id in found else self.label_in_session(id)
                found[id] = Listed(id, label, True)
        # The one being made, or cut off, is not listed before its manifest's second copy is written.
        return [found[id] for id in sorted(found) if id in metadata or id != pending]

    def label_in_session(self, id):
        try:
            label = json.loads(read_file(self.session(id, b"backup_manifest.json")))["label"].encode()
            return label if is_label(label) else b"unknown"
        except Exception:
            return b"unknown"

    def select(self, wanted):
        points = self.restore_points()
        if not points:
            text = "the store holds no restore point"
            raise Problem("no restore point", text, help="make one: cargo xtask backup")
        if wanted == b"latest":
            ours = [point for point in points if point.label != b"pre_rollback"]
            if not ours:
                raise Problem(
                    "no restore point", "the store holds only restore points that rollbacks made",
                    help="name one by its id: see `list`")
            return ours[-1]
        if not wanted:
            raise Problem("usage", "an empty id names no restore point")
        names = [(point, backup_id(point.label, point.id)) for point in points]
        fits = [(p, name) for p, name in names if p.id.startswith(wanted) or name.startswith(wanted)]
        exact = [p for p, name in fits if wanted in (p.id, name)]
        if len(fits) == 1 or exact:
            return exact[0] if exact else fits[0][0]
        if not fits:
            newest = ", ".join(p.id.decode() for p in reversed(points[-3:]))
            help = f"the newest are {newest}; `list` shows all"
            raise Problem("no restore point", f"no restore point `{show(wanted)}`", help=help)
        text = f"`{show(wanted)}` names {len(fits)} restore points"
        raise Problem("usage", text, [name.decode() for _, name in fits], help="give more of the id")

    def next_id(self):
        """The present second, or the one after the newest id of anything in the store."""
        last = self.info().get("last_id")
        newest = [last.encode()] if last else []
        for directory in (self.directory, self.path(b"metadata"), self.path(b"archives"), self.rollback()):
            for name in names_in(directory):
                newest += re.findall(rb"(?:session|backup|rollback|displaced)_(\d{8}_\d{6})(?![0-9])", name)
        newest = max((parse_id(id) for id in newest if parse_id(id) is not None), default=0)
        now = int(time.time())
        if newest + 1 > now + 3600:
            tell.note(
                f"the clock says {id_at(now).decode()}, but id {id_at(newest + 1).decode()} follows the newest: "
                "the clock was far ahead once, or is behind now")
        return id_at(max(now, newest + 1))

    def mend(self):
        """Clears what rollbacks that have ended, or never began, left of their work."""
        with During("write", self.path(b"state")):
            try:
                state = read_file(self.path(b"state"))
            except OSError:
                state = b""
            if state != STATE_IDLE:
                replace_file(self.path(b"state"), STATE_IDLE)
        left = [self.rollback(name) for name in names_in(self.rollback()) if name.startswith(b"stage_")]
        for path in left + [sibling(self.path(b"state")), sibling(self.journal())]:
            with During("remove", path):
                remove_tree(path)

    def lock(self, no_wait):
        """Takes the store's lock, which ends with this process."""
        path = self.path(b"lock")
        with During("open", path):
            self.lock_fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        told = False
        while True:
            try:
                return fcntl.flock(self.lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as failure:
                if failure.errno not in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES):
                    raise io_problem("lock", path, failure) from None
            if no_wait:
                raise Problem("busy", "another run holds the store", help="leave out --no-wait to wait for it")
            if not told:
                tell.say(f"{'Blocking':>12} waiting for another run that holds the store")
                told = True
            check_interrupt()
            time.sleep(0.025)

    # -- manifests

    def manifest(self, listed):
        """What a restore point holds: by its sealed `.conf`, or else by a copy of its manifest that proves itself.
        What only the manifest has (message, git, which directories merely lead to others) is taken from there."""
        name = backup_id(listed.label, listed.id)
        faults, copies = [], []
        for path in (self.session(listed.id, b"backup_manifest.json"), self.path(b"metadata", name + b".json")):
            try:
                data = read_file(path)
                manifest = Manifest(json.loads(data.decode("utf-8")), None)
                fault = manifest.fault(listed)
                if fault:
                    faults.append(f"{show(path)}: {fault}")
                else:
                    copies.append((manifest, hashlib.sha256(data).hexdigest().encode()))
            except FileNotFoundError:
                faults.append(f"{show(path)}: is missing")
            except OSError as failure:
                faults.append(f"{show(path)}: cannot be read: {os.strerror(failure.errno)}")
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                faults.append(f"{show(path)}: does not parse")
        path = self.rollback(name + b".conf")
        try:
            fields, behind = unseal(read_file(path))
            manifest = Manifest(None, fields)
            fault = manifest.fault(listed) or ("has bytes behind its end" if behind else None)
            if not fault:
                manifest.learn([copy for copy, _ in copies if copy.root_hash == manifest.root_hash])
                return manifest
            faults.append(f"{show(path)}: {fault}")
        except FileNotFoundError:
            faults.append(f"{show(path)}: is missing")
        except OSError as failure:
            faults.append(f"{show(path)}: cannot be read: {os.strerror(failure.errno)}")
        except ValueError:
            faults.append(f"{show(path)}: is cut off or damaged")
        listed_digest = self.digest_in_checksums(name)
        proved = [copy for copy, digest in copies if digest == listed_digest]
        if proved:
            return proved[0]
        if len({digest for _, digest in copies}) == 1:
            return copies[0][0]
        text = "is damaged in both copies"
        if copies:
            text = "differs between its two copies, and nothing says which is right"
        raise Problem(
            "damaged", f"the manifest of {name.decode()} {text}", faults,
            help="its archive may still be whole: `tar -xzf` reads it; other restore points: `list`")

    def digest_in_checksums(self, name):
        try:
            line = read_file(self.path(b"checksums", name + b".sha256")).split(b"\n", 1)[0]
            return line[:64] if line[64:] == b"  backup_manifest.json" else None
        except OSError:
            return None


Entry = collections.namedtuple("Entry", "root path kind mode size content seconds wanted")


def an_entry(root, path, kind, mode, size, content, mtime):
    root.decode("utf-8")
    seconds, point, nanos = mtime.partition(b".")
    if not (point and re.fullmatch(rb"-?[0-9]{1,19}", seconds) and re.fullmatch(rb"[0-9]{9}", nanos)):
        raise ValueError("malformed modification time")
    if kind not in (b"file", b"directory", b"symlink") or not MODE(mode) or (kind == b"file" and not DIGEST(content)):
        raise ValueError("malformed entry")
    if kind == b"symlink" and (not content or b"\0" in content):
        raise ValueError("malformed link")
    wanted = parse_thing(kind, mode, size, content)
    return Entry(root, rel(path), kind, mode, int(size or 0), content, int(seconds), wanted)


class Manifest:
    """What a restore point holds, of the fields of its `.conf`, or of its manifest's JSON."""

    def __init__(self, value, fields):
        self.message = self.git = None
        # Directories that stand above protected files only; `None` where nothing says so.
        self.leading = None
        self.of_fields(fields) if value is None else self.of_json(value)
        self.index = {(e.root, e.path): i for i, e in enumerate(self.entries)}
        if self.leading is None:
            self.leading = {(e.root, e.path) for e in self.entries if not holds(self.directories, e.root, e.path)}

    def of_fields(self, f):
        place = lambda: (f.text(), optional_rel(f.next()))
        f.expect(b"backstop-conf", b"1")
        self.backup_id, self.id, self.label, self.root_hash = f.text(), f.id(), f.text(), f.text()
        self.roots = f.list(b"roots", lambda: (f.text(), f.text()))
        self.entries = f.list(b"entries", lambda: an_entry(*[f.next() for _ in range(7)]))
        f.expect(b"scope")
        _whole_workspace, self.judged_by_git = f.next(), f.next() == b"1"
        self.directories = set(f.list(b"directories", place))
        self.ignored = set(f.list(b"ignored", place))
        self.foreign = set(f.list(b"foreign-packages", place))
        self.unprotected = set(f.list(b"unprotected-directories", lambda: rel(f.next())))
        self.root_entries = set(f.list(b"root-entries", lambda: rel(f.next())))
        self.excluded = f.list(b"excluded", lambda: (*place(), f.next()))
        self.packages = f.list(
            b"packages", lambda: (*place(), [rel(f.next()) for _ in range(f.number())]))

    def of_json(self, value):
        text = lambda v: v.encode("utf-8")
        path = lambda v: rel(unescape(v))
        place = lambda v: (text(v.get("root", "")), optional_rel(unescape(v.get("path") or "")))
        if value["format"] > 1:
            raise ValueError("newer format")
        self.backup_id, self.id, self.label = text(value["backup_id"]), text(value["id"]), text(value["label"])
        self.root_hash, self.message, self.git = text(value["root_hash"]), value.get("message"), value.get("git")
        told = [self.message] + ([self.git["head"], self.git["branch"]] if self.git is not None else [])
        if any(each is not None and not isinstance(each, str) for each in told):
            raise ValueError("no text")
        self.roots = [(text(r["name"]), text(r["path"])) for r in value["roots"]]
        self.entries, self.leading = [], set()
        for e in value["entries"]:
            kind = text(e["kind"])
            size = b"%d" % e["size"] if kind == b"file" else b""
            content = text(e["sha256"]) if kind == b"file" else unescape(e.get("target", ""))
            entry = an_entry(
                text(e.get("root", "")), path(e["path"]), kind, text(e["mode"]), size, content, text(e["mtime"]))
            self.entries.append(entry)
            if e["reasons"] == ["parent"]:
                self.leading.add((entry.root, entry.path))
        scope = value["scope"]
        self.judged_by_git = scope["git"]
        self.directories, self.ignored, self.foreign = (
            set(map(place, scope[name])) for name in ("directories", "ignored", "foreign_packages"))
        self.unprotected, self.root_entries = (
            set(map(path, scope[name])) for name in ("unprotected_directories", "root_entries"))
        self.excluded = [(*place(p["base"]), text(p["glob"])) for p in scope["excluded"]]
        self.packages = [
            (*place({"root": p.get("root", ""), "path": p.get("directory")}), [path(c) for c in p["crate_roots"]])
            for p in value["packages"]]

    def learn(self, copies):
        for other in copies[:1]:
            self.message, self.git, self.leading = other.message, other.git, other.leading

    def fault(self, listed):
        """Why it is not to be trusted; `None` where it is."""
        if self.id != listed.id or self.backup_id != backup_id(self.label, self.id):
            return "names another restore point"
        keys = [(e.root, e.path) for e in self.entries]
        if any(a >= b for a, b in zip(keys, keys[1:])):
            return "has entries out of order or twice"
        names = [name for name, _ in self.roots]
        hasher = hashlib.sha256()
        for e in self.entries:
            if e.root not in names:
                return f"has an entry of an unknown root: {shown(e.root, e.path)}"
            above = parent(e.path)
            at = self.index.get((e.root, above))
            if above and (at is None or self.entries[at].kind != b"directory"):
                return f"has an entry whose directory is none: {shown(e.root, e.path)}"
            if leads_to_version_control(e.path):
                return f"has an entry of a version control system: {shown(e.root, e.path)}"
            size = b"%d" % e.size if e.kind == b"file" else b""
            hasher.update(b"\0".join((e.root, e.path, e.kind, e.mode, size, e.content, b"")))
        if not names or names[0] or not all(map(is_root_name, names)):
            return "has malformed roots"
        if hasher.hexdigest().encode() != self.root_hash:
            return "has entries that do not give its root hash"
        return None


def optional_rel(path):
    return rel(path) if path else b""


# ---- git, patterns, and the walk over the present

GIT_KEPT = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM")


def start_git(directory, *arguments):
    """Starts git, shut off from everything that could make it write, run a program or look elsewhere. The
    repository's own configuration names programs: nothing is fetched, and only a .git is a repository."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_") or k in GIT_KEPT}
    environment.update(GIT_OPTIONAL_LOCKS="0", LC_ALL="C", GIT_TERMINAL_PROMPT="0")
    environment.update(GIT_NO_LAZY_FETCH="1", GIT_ALLOW_PROTOCOL="none")
    line = ["git", "--no-pager", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"]
    line += ["-c", "safe.bareRepository=explicit", *arguments]
    try:
        return subprocess.Popen(
            line, cwd=directory, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL)
    except OSError:
        return None


def answer_of(process):
    """What git answered; `None` where it failed."""
    if process is None:
        return None
    answer = process.communicate()[0]
    return answer if process.returncode == 0 else None


def git_state(directory):
    """Where git stands: head, branch and no word on whether files differ; `None` where it does not work."""
    answer = answer_of(start_git(directory, "rev-parse", "HEAD", "--symbolic-full-name", "HEAD"))
    if answer is not None:
        lines = answer.decode("utf-8", "replace").split("\n")
        branch = lines[1] if len(lines) > 1 else ""
        branch = branch[len("refs/heads/"):] if branch.startswith("refs/heads/") else None
        return {"head": lines[0], "branch": branch, "dirty": None}
    answer = answer_of(start_git(directory, "rev-parse", "--git-path", "HEAD"))
    if answer is None:
        return None
    try:
        text = read_file(os.path.join(directory, answer.rstrip())).decode("utf-8").rstrip()
    except (OSError, ValueError):
        text = ""
    start = "ref: refs/heads/"
    return {"head": None, "branch": text[len(start):] if text.startswith(start) else None, "dirty": None}


class Rules:
    """What git says of the paths below one directory, asked once: which it ignores, directories collapsed; which
    directories hold ignored things only ("hollow"); what it tracks."""

    def __init__(self, directory):
        self.answer, self.ignored, self.hollow, self.tracked = "no repository", set(), set(), []
        above = [directory]
        while above[-1] != b"/":
            above.append(os.path.dirname(above[-1]))
        if not any(exists(os.path.join(each, b".git")) for each in above):
            return
        listing = start_git(directory, "ls-files", "-c", "-z")
        # With `-t` every path comes after a letter: `?` where it is untracked.
        judging = start_git(
            directory, "ls-files", "-t", "-c", "-o", "-i", "--exclude-standard", "--directory", "-z")
        judged, tracked = answer_of(judging), answer_of(listing)
        if tracked is None:
            self.answer = "broken"
            return
        self.tracked = sorted({path for path in tracked.split(b"\0") if path})
        if judged is None:
            # In an ignored directory it fails, or answers `./`.
            swallowed = answer_of(start_git(directory, "check-ignore", "-q", ".")) is not None
            self.answer = "swallowed" if swallowed else "broken"
            return
        self.answer = "swallowed" if b"? ./" in judged.split(b"\0") else "working"
        others = sorted(line[2:] for line in judged.split(b"\0") if line.startswith(b"? ") and line != b"? ./")
        for i, path in enumerate(others):
            # A directory of which everything present is ignored is named as if it were ignored itself, and its
            # contents follow it.
            hollow = path.endswith(b"/") and i + 1 < len(others) and others[i + 1].startswith(path)
            (self.hollow if hollow else self.ignored).add(path[:-1] if path.endswith(b"/") else path)

    def set_aside(self):
        self.ignored, self.hollow = set(), set()

    def tracked_below(self, directory):
        start = directory + b"/"
        for path in self.tracked[bisect.bisect_left(self.tracked, start):]:
            if not path.startswith(start):
                return
            yield path


@functools.lru_cache(None)
def pattern(glob):
    """A glob of the settings as a regular expression."""
    return re.compile(b"|".join(map(translate, alternatives(glob.rstrip(b"/")))), re.DOTALL)


TOKEN = re.compile(rb"\\.|\[[\^!]?\]?(?:\\.|[^\]\\])*\]|.", re.DOTALL)


def alternatives(glob):
    """`a{b,c}` as `ab` and `ac`."""
    depth, cuts = 0, []
    for token in TOKEN.finditer(glob):
        if token.group() == b"{":
            depth += 1
            if depth == 1:
                cuts = [token.start()]
        elif token.group() == b"}" and depth:
            depth -= 1
            if depth == 0:
                cuts.append(token.start())
                parts = [glob[a + 1:b] for a, b in zip(cuts, cuts[1:])]
                return [x for p in parts for x in alternatives(glob[:cuts[0]] + p + glob[token.end():])]
        elif token.group() == b"," and depth == 1:
            cuts.append(token.start())
    return [glob]


def translate(glob):
    out, at = [], 0
    while at < len(glob):
        stars = re.compile(rb"\*\*(?:/\*\*(?=/|$))*").match(glob, at)
        if stars:
            # Of `a**/**` the last one counts, and that begins a component.
            begins = at == 0 or glob[at - 1:at] == b"/" or len(stars.group()) > 2
            behind = glob[stars.end():stars.end() + 1]
            at = stars.end()
            if begins and behind == b"/":
                out.append(rb"(?:[^/]*/)*")
                at += 1
            else:
                out.append(rb".*" if begins and not behind else rb"[^/]*")
            continue
        token = TOKEN.match(glob, at).group()
        at += len(token)
        if token == b"*":
            out.append(rb"[^/]*")
        elif token == b"?":
            out.append(rb"[^/]")
        elif token.startswith(b"[") and len(token) > 1:
            out.append(translate_class(token[1:-1]))
        else:
            out.append(re.escape(unescape_glob(token)))
    return b"".join(out)


def unescape_glob(token):
    special = {b"\\a": b"a", b"\\b": b"\b", b"\\n": b"\n", b"\\r": b"\r", b"\\t": b"\t"}
    return special.get(token, token[-1:])


def translate_class(inner):
    negated, out, at = inner[:1] in (b"^", b"!"), [], 0
    items = [unescape_glob(t) for t in re.findall(rb"\\.|.", inner[1 if negated else 0:], re.DOTALL)]
    while at < len(items):
        low = high = items[at]
        if at + 2 < len(items) and items[at + 1] == b"-":
            high = items[at + 2]
            at += 2
        at += 1
        if low <= high:
            out.append(b"\\x%02x-\\x%02x" % (low[0], high[0]))
    if not out:
        return rb"[^/]" if negated else rb"(?!)"
    return b"(?!/)[" + (b"^" if negated else b"") + b"".join(out) + b"]"


def excludes(excluded, root, path):
    """Whether a pattern matches the path, or a directory above it."""
    for base_root, base, glob in excluded:
        if base_root != root or (base and not path.startswith(base + b"/")):
            continue
        rest = path[len(base) + 1:] if base else path
        if any(pattern(glob).fullmatch(each) for each in (rest, *ancestors(rest))):
            return True
    return False


class Walked:
    def __init__(self):
        # path -> file, directory, symlink or special
        self.found = {}
        # (path, whether git ignores it): what was not entered or not taken
        self.pruned = []
        self.errors = []
        self.unjudged = []


def kind_of(mode):
    for test, kind in ((stat.S_ISREG, "file"), (stat.S_ISDIR, "directory"), (stat.S_ISLNK, "symlink")):
        if test(mode):
            return kind
    return "special"


def walk(root, store, rules):
    """One look at the files below `root`, without what is never protected: stores, target directories, version
    control, and what git ignores. What git tracks inside a target directory is found all the same."""
    out, hollow = Walked(), set()
    pending = [(root, b"", 0, rules)]
    while pending:
        directory, above, cut, rules = pending.pop()
        try:
            with os.scandir(directory) as entries:
                entries = list(entries)
        except FileNotFoundError:
            continue
        except OSError as failure:
            out.errors.append((above or root.lstrip(b"/"), error_text(failure)))
            continue
        has_manifest = any(entry.name == b"Cargo.toml" for entry in entries)
        for entry in entries:
            path = above + b"/" + entry.name if above else entry.name
            below_rules, is_directory = path[cut:], entry.is_dir(follow_symlinks=False)
            never = never_taken(entry, is_directory, store, has_manifest)
            if never == "target":
                take_tracked(root, store, path, below_rules, rules, out)
            if never or below_rules in rules.ignored:
                out.pruned.append((path, not never))
                continue
            if is_directory and below_rules in rules.hollow:
                hollow.add(path)
            try:
                kind = kind_of(entry.stat(follow_symlinks=False).st_mode)
            except FileNotFoundError:
                continue
            except OSError as failure:
                out.errors.append((path, error_text(failure)))
                continue
            out.found[path] = kind
            if is_directory:
                inner, inner_cut = rules, cut
                if exists(os.path.join(entry.path, b".git")):
                    # An embedded repository is asked for its own rules.
                    inner, inner_cut = Rules(entry.path), len(path) + 1
                    if inner.answer == "broken":
                        out.unjudged.append(path)
                pending.append((entry.path, path, inner_cut, inner))
    # A directory whose whole content is ignored comes and goes with it: a cache of some tool.
    paths = sorted(out.found)
    for each in hollow:
        start = bisect.bisect_left(paths, each + b"/")
        inside = paths[start:bisect.bisect_left(paths, each + b"0")]
        if all(out.found.get(path, "directory") == "directory" for path in inside):
            for path in [each, *inside]:
                out.found.pop(path, None)
    return out


def error_text(failure):
    return f"{os.strerror(failure.errno)} (os error {failure.errno})"


def never_taken(entry, is_directory, store, has_manifest):
    if is_version_control(entry.name):
        return "version control"
    if entry.path == store:
        return "store"
    if not is_directory:
        return None
    if b'"backstop_store"' in start_of(os.path.join(entry.path, b"store.json"), 64 * 1024):
        return "store"
    tag = b"Signature: 8a477f597d28d172789f06886806bc55"
    if entry.name == b"target" and has_manifest:
        return "target"
    if start_of(os.path.join(entry.path, b"CACHEDIR.TAG"), len(tag)) == tag:
        return "target"
    return None


def start_of(path, most):
    # Looking first keeps a pipe of that name from blocking the walk.
    try:
        if stat.S_ISREG(os.lstat(path).st_mode):
            with open(path, "rb") as file:
                return file.read(most)
    except OSError:
        pass
    return b""


def take_tracked(root, store, directory, below_rules, rules, out):
    def look(path):
        # A path through a link is not followed.
        try:
            if all(stat.S_ISDIR(os.lstat(os.path.join(root, a)).st_mode) for a in ancestors(path)):
                return kind_of(os.lstat(os.path.join(root, path)).st_mode)
        except OSError:
            pass
        return None

    for tracked in rules.tracked_below(below_rules):
        path = directory + tracked[len(below_rules):]
        kind = look(path)
        # What is in the index may be gone, and a submodule is a directory.
        if kind in (None, "directory") or is_in(os.path.join(root, path), store):
            continue
        out.found[path] = kind
        for above in ancestors(path):
            if is_in(above, directory) and look(above):
                out.found[above] = look(above)


# ---- the present

REASONS = {
    "ignored": "git ignores it",
    "ignored then": "git ignored it then",
    "unjudged": "git does not work here, so it cannot be judged",
    "excluded": "the settings excluded it",
    "foreign": "it belongs to a package that was not protected",
    "special": "it is no file",
    "kept new": "--keep-new",
}


class Present:
    """The present tree, as far as the restore point's recorded scope reaches."""

    def __init__(self, store, manifest):
        tell.phase("Comparing", "the workspace with the restore point")
        # All by (root, path). What stands at the restore point's paths; what was added and may go; what was added
        # and stays, with the reason; what a directory would have to be emptied of and that stays.
        self.known, self.added, self.left, self.staying = {}, {}, {}, set()
        self.git = git_state(store.root)
        self.roots, self.missing_roots = [], []
        for root in manifest.roots:
            there = not root[0] or stat_is_dir(store.root_directory(root))
            (self.roots if there else self.missing_roots).append(root)
        for root in self.roots:
            directory, name = store.root_directory(root), root[0]
            with During("open directory", directory):
                tree = Tree(directory)
            self.known.update(look_at_all(tree, name, [e.path for e in manifest.entries if e.root == name]))
            movable = self.find_additions(store, directory, name, manifest)
            self.added.update(look_at_all(tree, name, movable))
            os.close(tree.fd)

    def differs(self, entry):
        return not same_content(self.known.get((entry.root, entry.path), NOTHING), entry.wanted)

    def leave_outside(self):
        self.roots = [root for root in self.roots if not root[0]]
        self.known, self.added, self.left = (
            {key: value for key, value in each.items() if not key[0]} for each in (self.known, self.added, self.left))
        self.staying = {key for key in self.staying if not key[0]}

    def find_additions(self, store, directory, root, manifest):
        """Finds what stands in the scope and not in the restore point; gives what may be moved."""
        rules, unjudged = Rules(directory), False
        if rules.answer == "swallowed" and not manifest.judged_by_git:
            # As it was judged when the restore point was made: a rule from above was not meant for the workspace.
            rules.set_aside()
        elif rules.answer in ("swallowed", "broken"):
            unjudged = True
        elif rules.answer == "no repository":
            # Where one is gone: what it ignored in the meantime, nobody can say.
            unjudged = manifest.judged_by_git
        walked = walk(directory, store.directory, rules)
        scope = Scope(root, manifest, walked.found)
        movable = []
        for path in sorted(walked.found):
            if (root, path) in manifest.index:
                continue
            kind = walked.found[path]
            if not scope.holds(path, kind):
                self.staying.add((root, path))
                continue
            why = None
            if holds(manifest.ignored, root, path):
                why = "ignored then"
            elif excludes(manifest.excluded, root, path):
                why = "excluded"
            elif scope.is_foreign(path):
                why = "foreign"
            elif unjudged or any(is_in(path, each) for each in walked.unjudged):
                why = "unjudged"
            elif kind == "special":
                why = "special"
            if why is None:
                movable.append(path)
                continue
            self.staying.add((root, path))
            if kind != "directory":
                self.left[root, path] = REASONS[why]
        for path, ignored in walked.pruned:
            if ignored and scope.holds_path(path) and (root, path) not in manifest.index:
                self.left[root, path] = REASONS["ignored"]
            self.staying.add((root, path))
        for path, text in walked.errors:
            self.left[root, path] = f"it cannot be read: {text}"
            self.staying.add((root, path))
        return movable


def stat_is_dir(path):
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def look_at_all(tree, root, paths):
    out = {}
    for path in paths:
        check_interrupt()
        try:
            thing = tree.look_near(path)
        except OSError as failure:
            raise closed(tree, path, failure) from None
        if thing is not NOTHING:
            out[root, path] = thing
    tree.forget()
    return out


def closed(tree, path, failure):
    """What a directory that may not be searched holds, nobody can plan for: it has to be opened first."""
    problem = io_problem("read", tree.full(path), failure)
    above = [tree.full(each) for each in reversed([path, *ancestors(path)])]
    if failure.errno in DENIED:
        for directory, inside in zip(above, above[1:]):
            try:
                os.lstat(inside)
            except OSError:
                problem.kind = "workspace"
                problem.help = f"give it back its mode, then try again: `chmod u+rwx {show(directory)}`"
                break
    return problem


class Scope:
    """What a rollback may touch below one root."""

    def __init__(self, root, manifest, found):
        self.root, self.manifest = root, manifest
        # Packages that did not exist then: a `Cargo.toml` now, and neither package nor directory then.
        self.born = set()
        for path in found:
            directory = parent(path)
            if basename(path) != b"Cargo.toml" or not directory:
                continue
            existed = (root, directory) in manifest.index or (not root and self.existed(directory))
            judged = holds(manifest.directories, root, directory) or holds(manifest.ignored, root, directory)
            if not existed and not judged:
                self.born.add((root, directory))
        self.above_born = {(root, above) for _, path in self.born for above in (path, *ancestors(path))}

    def existed(self, path):
        return path in self.manifest.unprotected or path in self.manifest.root_entries

    def holds(self, path, kind):
        # A plain file at the workspace root is a workspace file.
        at_root = not self.root and b"/" not in path
        return (at_root and kind != "directory") or self.holds_path(path) or self.is_new_manifest(path)

    def holds_path(self, path):
        leads_to_born = (self.root, path) in self.above_born and not self.existed(path)
        return leads_to_born or holds(self.manifest.directories, self.root, path) or holds(self.born, self.root, path)

    def is_new_manifest(self, path):
        """A `Cargo.toml` that appeared in a directory that was there and was no package."""
        directory = parent(path)
        return (
            not self.root and bool(directory) and basename(path) == b"Cargo.toml"
            and directory in self.manifest.unprotected and not self.is_foreign(path))

    def is_foreign(self, path):
        foreign = self.manifest.foreign
        return any((self.root, each) in foreign for each in (path, *ancestors(path)))


# ---- the journal

COMMITTED = b"committed\0"
PAST = {
    "create": "created", "create dir": "created", "replace": "replaced", "change mode": "mode changed",
    "move out": "displaced", "remove dir": "removed"}


class Action(collections.namedtuple("Action", "root path before after origin")):
    """What is done at one path: what stands there, what is to stand there, and where new content comes from."""

    __slots__ = ()

    def verb(self):
        if self.before.kind == b"none":
            return "create dir" if is_dir(self.after) else "create"
        if self.after.kind == b"none":
            return "remove dir" if is_dir(self.before) else "move out"
        return "change mode" if same_content(self.before, self.after) else "replace"

    def shown(self):
        return shown(self.root, self.path)

    def places(self):
        """Whether new content or a new link is put there."""
        return self.verb() in ("create", "replace") and self.after.kind not in (b"directory", b"none")

    def displaces(self):
        """Whether something that is no directory is moved out."""
        return self.verb() in ("replace", "move out") and not is_dir(self.before)

    def clears(self):
        return is_dir(self.before) and not is_dir(self.after)

    def makes_directory(self):
        return is_dir(self.after) and not is_dir(self.before)


class Journal(collections.namedtuple("Journal", "id purpose target pre_rollback created roots unlock touch actions")):
    """The intent of a rollback, enough to finish it, take it back, or undo it later."""

    __slots__ = ()

    def encode(self):
        fields = [b"backstop-journal", b"1", self.id, self.purpose, self.target, self.pre_rollback, self.created]
        for name, rows in (("roots", self.roots), ("unlock", self.unlock), ("touch", self.touch)):
            fields += [name.encode(), b"%d" % len(rows)] + [field for row in rows for field in row]
        fields += [b"actions", b"%d" % len(self.actions)]
        for a in self.actions:
            fields += [a.root, a.path, *a.before, *a.after, a.origin]
        return seal(fields)


def read_journal(path):
    """A journal, and whether it was committed."""
    with During("read", path):
        data = read_file(path)
    try:
        f, behind = unseal(data)

        def root_path():
            root, path = f.text(), rel(f.next())
            if leads_to_version_control(path):
                # No plan ever names one, so it was not a rollback that wrote this.
                raise ValueError("version control")
            return root, path

        def unlocked():
            place, mode = root_path(), f.next()
            if not MODE(mode):
                raise ValueError("no mode")
            return (*place, mode)

        def action():
            place = root_path()
            before, after = (parse_thing(*[f.next() for _ in range(4)]) for _ in range(2))
            origin = f.next()
            if origin not in (b"", b"session", b"archive", b"displaced"):
                raise ValueError("no origin")
            return Action(*place, before, after, origin)

        f.expect(b"backstop-journal", b"1")
        id, purpose, target, pre_rollback = f.id(), f.next(), f.id(), f.next()
        if purpose not in (b"rollback", b"undo") or (pre_rollback and parse_id(pre_rollback) is None):
            raise ValueError("malformed head")
        journal = Journal(
            id, purpose, target, pre_rollback, f.text(), f.list(b"roots", lambda: (f.text(), f.text())),
            f.list(b"unlock", unlocked), f.list(b"touch", root_path), f.list(b"actions", action))
        f.end()
        if not all(is_root_name(name) for name, _ in journal.roots):
            raise ValueError("malformed roots")
        return journal, behind.endswith(COMMITTED)
    except ValueError:
        help = "the files that it moved are below rollback/displaced_*; the restore points are untouched: see `list`"
        raise Problem("damaged", f"the journal `{show(path)}` is damaged", help=help) from None


# ---- the plan: made without changing anything; what the dry run prints is what runs

Plan = collections.namedtuple(
    "Plan", "purpose of target message actions touch unlock left outside counts git_then git_now roots")


class Selection:
    """Which paths of a restore point are asked for by `--only`."""

    def __init__(self, only, manifest, added):
        self.places = []
        everything = [(e.root, e.path) for e in manifest.entries] + list(added)
        for text in only:
            # A variable that a script forgot to set must not widen a rollback to everything.
            if text in (b"", b"/"):
                help = "give a path below the workspace root; `.` is all of it"
                raise Problem("usage", f"--only `{show(text)}` names no path", help=help)
            root, path = b"", text
            for name, _ in manifest.roots:
                if name and text.startswith(name + b":"):
                    root, path = name, text[len(name) + 1:]
                    break
            path = path.rstrip(b"/")
            while path.startswith(b"./"):
                path = path[2:]
            try:
                place = (root, b"" if path in (b"", b".") else rel(path))
            except ValueError as failure:
                help = "give a path below the workspace root"
                raise Problem("usage", f"--only {show(text)}: {failure}", help=help) from None
            if not any(holds({place}, *each) for each in everything):
                raise Problem(
                    "usage", f"--only {show(text)}: {manifest.backup_id.decode()} holds no such path",
                    help="`show` lists what a restore point holds; paths count from the workspace root")
            self.places.append(place)

    def refuse_outside(self, outside):
        for root, _ in self.places:
            if root and not outside:
                help = "add --outside to write there too"
                raise Problem("usage", f"`{show(root)}` lies outside the workspace", help=help)

    def holds(self, root, path):
        return not self.places or holds(set(self.places), root, path)

    def leads_to(self, root, path):
        """Whether a path below this one is asked for: a missing directory on the way has to be made."""
        return any(r == root and p and is_in(p, path) for r, p in self.places)


def refuse_targets_in_store(store, roots, targets):
    """Refuses what would be written or moved in the store, and what would stand in place of a directory above it.
    `targets` are root, path, and whether a directory is to stand there."""
    directory, places = os.path.realpath(store.directory), {}
    for root in roots:
        above = os.path.realpath(store.root_directory(root))
        if directory == above or above.startswith(directory + b"/"):
            places[root[0]] = b""
        elif directory.startswith(above.rstrip(b"/") + b"/"):
            places[root[0]] = directory[len(above.rstrip(b"/")) + 1:]
    refused = []
    for root, path, is_directory in targets:
        place = places.get(root)
        if place is not None and (
                not place or path == place or path.startswith(place + b"/")
                or not is_directory and place.startswith(path + b"/")):
            refused.append(shown(root, path))
    if refused:
        raise Problem(
            "workspace", f"files of the restore point lie in the store `{show(directory)}`; nothing was changed",
            refused, help="restore it to an empty directory instead: `backstop rollback -t ID --to DIR`")


def plan_rollback(store, options):
    """Plans a rollback to a restore point."""
    # In the order of the executable: which restore point first, then whether a rollback was cut off.
    listed = store.select(options.timestamp)
    store.refuse_cut_off()
    manifest = store.manifest(listed)
    refuse_targets_in_store(store, manifest.roots, (
        (e.root, e.path, e.kind == b"directory") for e in manifest.entries if options.outside or not e.root))
    present = Present(store, manifest)
    outside = []
    if options.outside:
        if present.missing_roots:
            gone = [f"{show(root[0])}: {show(store.root_directory(root))}" for root in present.missing_roots]
            raise Problem(
                "workspace", "a directory outside the workspace is gone; nothing was changed", gone,
                help="make the directory (it may be empty), then roll back again; or leave out --outside")
    else:
        outside = [shown(e.root, e.path) for e in manifest.entries if e.root and present.differs(e)]
        outside += [shown(*key) for key in sorted(present.added) if key[0] and not is_dir(present.added[key])]
        present.leave_outside()
    selection = Selection(options.only, manifest, present.added)
    selection.refuse_outside(options.outside)
    reached = {name for name, _ in present.roots}
    needed = [
        i for i, e in enumerate(manifest.entries)
        if e.root in reached and e.kind == b"file" and selection.holds(e.root, e.path) and present.differs(e)]
    sources = verify_sources(store, listed, manifest, needed, options.source)
    return make_plan(manifest, present, selection, options, sources, outside)


def make_plan(manifest, present, selection, options, sources, outside):
    actions, unchanged = {}, 0
    reached = {name for name, _ in present.roots}
    for i, entry in enumerate(manifest.entries):
        key = (entry.root, entry.path)
        if entry.root not in reached:
            continue
        now = present.known.get(key, NOTHING)
        if not selection.holds(*key):
            if not (selection.leads_to(*key) and is_dir(entry.wanted) and not is_dir(now)):
                continue
        # A directory that stands above protected files only keeps the mode that it has.
        if now == entry.wanted or (is_dir(now) and is_dir(entry.wanted) and key in manifest.leading):
            unchanged += not is_dir(entry.wanted)
            continue
        action = Action(*key, now, entry.wanted, sources.get(i, b""))
        actions[key] = action._replace(origin=b"") if action.verb() == "change mode" else action
    left = {key: why for key, why in present.left.items() if selection.holds(*key)}
    plan_removals(present, selection, options, actions, left)
    actions = [actions[key] for key in sorted(actions)]
    return Plan(
        b"rollback", manifest.id, manifest.backup_id.decode(), manifest.message, actions,
        crate_roots_to_touch(actions, manifest, present), read_only_parents(actions, present),
        [(shown(*key), left[key]) for key in sorted(left)], outside, count(actions, len(left), unchanged),
        manifest.git, present.git, present.roots)


def plan_removals(present, selection, options, actions, left):
    """Adds what is moved out: what was added, and what stands in the way of a file or a link."""
    cleared = {key for key, action in actions.items() if action.clears()}

    def obstructs(root, path):
        return any((root, above) in cleared for above in ancestors(path))

    blocked = [
        f"{shown(*key)}: would have to make way, and is not the rollback's to move"
        for key in sorted(present.staying) if obstructs(*key)]
    if blocked:
        raise Problem(
            "workspace",
            "a directory stands where the restore point has a file, and holds what must stay; nothing was changed",
            blocked, help="move these out of the directory yourself, then roll back again")
    # A directory goes only where nothing in it stays.
    occupied = {(root, above) for root, path in present.staying for above in ancestors(path)}
    goes = {
        key for key in present.added
        if (selection.holds(*key) and not options.keep_new) or obstructs(*key)}
    for (root, path), thing in present.added.items():
        if (root, path) not in goes:
            occupied.update((root, above) for above in ancestors(path))
            if not is_dir(thing) and selection.holds(root, path):
                left[root, path] = REASONS["kept new"]
    for key in goes:
        thing = present.added[key]
        if not (is_dir(thing) and key in occupied):
            actions[key] = Action(*key, thing, NOTHING, b"")


def crate_roots_to_touch(actions, manifest, present):
    """Cargo sees a changed `.rs` file by its time. What a build script or a macro read, a link that points
    elsewhere, or a file that went, it sees only through the crate roots of the package."""
    packages = sorted(manifest.packages, key=lambda package: -len(package[1]))
    touch = set()
    for action in actions:
        name = basename(action.path)
        link = b"symlink" in (action.before.kind, action.after.kind)
        seen = (name.endswith(b".rs") and name != b".rs") or name == b"Cargo.toml"
        if action.verb() not in ("create", "replace", "move out") or (seen and not link):
            continue
        for root, directory, crate_roots in packages:
            if root == action.root and (not directory or is_in(action.path, directory)):
                keys = [(root, path) for path in crate_roots]
                touch.update(key for key in keys if present.known.get(key, NOTHING).kind == b"file")
                break
    # What is replaced anyway gets its time then.
    return sorted(touch - {(a.root, a.path) for a in actions if a.places() or a.displaces()})


def read_only_parents(actions, present):
    """Directories that exist, forbid their owner to write, and hold something that changes."""
    unlock = {}
    for action in actions:
        key = (action.root, parent(action.path))
        now = present.known.get(key) or present.added.get(key)
        if action.verb() != "change mode" and key[1] and now and forbids_writing(now):
            unlock[key] = now.mode
    return [(*key, unlock[key]) for key in sorted(unlock)]


COUNTED = {
    "create": "created", "replace": "replaced", "change mode": "mode_changed", "move out": "displaced",
    "create dir": "directories_created", "remove dir": "directories_removed"}


def count(actions, left_alone, unchanged):
    counts = dict.fromkeys(COUNTED.values(), 0)
    for action in actions:
        counts[COUNTED[action.verb()]] += 1
    return dict(counts, left_alone=left_alone, unchanged=unchanged)


# ---- verified sources: every byte that will be written is read and found right before anything changes


def verify_sources(store, listed, manifest, files, source):
    """Where each file's content was found right: `session` or `archive`, by index."""
    name, sources = manifest.backup_id.decode(), {}
    tell.phase("Verifying", f"{plural(len(files), 'file', 'files')} of {name}")
    for i in files if source != "archive" else ():
        check_interrupt()
        if session_holds(store.session(listed.id, stored_path(*manifest.entries[i][:2])), manifest.entries[i]):
            sources[i] = b"session"
    missing = [i for i in files if i not in sources]
    if missing and source != "session":
        found = []
        for i, read in archived(store, manifest, missing):
            check_interrupt()
            hasher = hashlib.sha256()
            for data in iter(read, b""):
                hasher.update(data)
            if hasher.hexdigest().encode() == manifest.entries[i].content:
                found.append(i)
        if source == "auto" and found:
            files_are = plural(len(found), "file is", "files are")
            tell.note(f"{files_are} damaged in the session and taken from the archive")
        sources.update((i, b"archive") for i in found)
    lost = [shown(*manifest.entries[i][:2]) for i in files if i not in sources]
    if lost:
        where = {"auto": "in both copies", "session": "in the session", "archive": "in the archive"}[source]
        help = "leave out --from: each file is then taken from whichever copy is whole"
        if source == "auto":
            help = "`validate --repair` may mend it; or roll back to another (`list`), or take what is whole: --only PATH"
        files_are = plural(len(lost), "file is", "files are")
        raise Problem("damaged", f"{files_are} damaged {where} of {name}; nothing was changed", lost, help=help)
    return sources


def session_holds(path, entry):
    try:
        found = os.lstat(path)
        if not stat.S_ISREG(found.st_mode) or found.st_size != entry.size:
            return False
        fd = os.open(path, READ)
        try:
            return digest_of(fd, entry.size) == entry.content
        finally:
            os.close(fd)
    except OSError:
        return False


class Damaged(Exception):
    """A gzip member is not what was written."""


class Member:
    """Reads one gzip member of an archive, never more at a time than is asked for."""

    def __init__(self, file, offset):
        self.file, self.inflate, self.input = file, zlib.decompressobj(31), b""
        file.seek(offset)

    def read(self, most):
        try:
            while not self.inflate.eof:
                self.input = self.input or self.file.read(CHUNK)
                if not self.input:
                    raise Damaged("cut off")
                data = self.inflate.decompress(self.input, most)
                self.input = self.inflate.unconsumed_tail
                if data:
                    return data
        except (zlib.error, OSError):
            raise Damaged("malformed") from None
        return b""

    def exactly(self, size):
        """`size` bytes; none at the member's end."""
        out = b""
        while len(out) < size:
            data = self.read(size - len(out))
            if not data and not out:
                return b""
            if not data:
                raise Damaged("cut off")
            out += data
        return out

    def end(self):
        return self.file.tell() - len(self.inflate.unused_data)


def archived(store, manifest, wanted):
    """Gives each wanted file that the archive has, as its index and a function that reads its content in pieces.
    A damaged member loses its own files only: the next one is found by how it starts. What the archive says is
    held against the restore point, and never acted on."""
    name = manifest.backup_id + b".tar.gz"
    by_name = {stored_path(e.root, e.path): i for i, e in enumerate(manifest.entries)}
    wanted, seen, offset = set(wanted), set(), 0
    try:
        file = open(store.path(b"archives", name), "rb")
    except OSError:
        return
    # Every member of ours holds an entry; a file of nothing but starts of members is not followed to its end.
    attempts = 2 * len(manifest.entries) + 16
    with file:
        while offset is not None and wanted - seen and attempts:
            attempts -= 1
            try:
                member = Member(file, offset)
                yield from members_files(member, manifest.entries, by_name, wanted, seen)
                offset = member.end()
                file.seek(offset)
                offset = offset if file.read(1) else None
            except Damaged:
                offset = find_member(file, offset + 1)


def find_member(file, offset):
    """Where the next gzip member starts, as all of ours do."""
    start, tail = b"\x1f\x8b\x08\0\0\0\0\0", b""
    file.seek(offset)
    while True:
        data = file.read(CHUNK)
        if not data:
            return None
        at = (tail + data).find(start)
        if at >= 0:
            return file.tell() - len(tail + data) + at
        tail = (tail + data)[-len(start) + 1:]


def members_files(member, entries, by_name, wanted, seen):
    while True:
        header, long_name, long_target = member.exactly(512), None, None
        while header[156:157] in (b"L", b"K"):
            size, kind = tar_number(header[124:136]), header[156:157]
            if size > 64 * 1024:
                raise Damaged("a name without end")
            text = member.exactly((size + 511) // 512 * 512)[:size].rstrip(b"\0")
            long_name, long_target = (text, long_target) if kind == b"L" else (long_name, text)
            header = member.exactly(512)
        if not header:
            return
        if header.count(b"\0") == 512:
            # The end of the tar stream: nothing of ours follows.
            raise Damaged("ends")
        if sum(header) - sum(header[148:156]) + 8 * 32 != tar_number(header[148:156]):
            raise Damaged("a header's checksum")
        name = long_name or header[:100].partition(b"\0")[0]
        i = by_name.get(name.rstrip(b"/") if header[156:157] == b"5" else name)
        if i is None or i in seen:
            raise Damaged("an entry that the restore point does not have")
        entry, size = entries[i], tar_number(header[124:136])
        target = long_target or header[157:257].partition(b"\0")[0]
        kind = {b"0": b"file", b"\0": b"file", b"5": b"directory", b"2": b"symlink"}.get(header[156:157])
        fits = kind == entry.kind and size == (entry.size if kind == b"file" else 0)
        fits = fits and (kind != b"symlink" or target == entry.content)
        fits = fits and tar_number(header[100:108]) == int(entry.mode, 8)
        if not fits or tar_number(header[136:148]) != max(entry.seconds, 0):
            raise Damaged("an entry that is not as the restore point has it")
        seen.add(i)
        left, damage = [size], []

        def read():
            """The next piece of the content; nothing at its end, and nothing more where the member is damaged."""
            try:
                data = member.read(min(left[0], CHUNK)) if left[0] and not damage else b""
            except Damaged as failure:
                damage.append(failure)
                return b""
            left[0] -= len(data)
            return data

        if i in wanted and kind == b"file":
            yield i, read
        while read():
            pass
        if damage or left[0]:
            raise Damaged("cut off")
        member.exactly(-size % 512)


def tar_number(field):
    if field[0] & 0x80:
        return int.from_bytes(field[1:], "big")
    text = field.strip(b"\0 ")
    if not re.fullmatch(rb"[0-7]*", text):
        raise Damaged("no number")
    return int(text or b"0", 8)


# ---- carrying it out: the journal, the stage, the commit, the moves, the end


class Transaction:
    """A rollback under way. Before the commit the workspace is untouched. After it, `forward` and `backward` can each
    be begun again wherever they were cut off: what stands in the stage, at the target and among the displaced says
    how far each action had come."""

    def __init__(self, store, journal):
        self.store, self.journal, self.trees = store, journal, {}
        refuse_targets_in_store(store, journal.roots, (
            (a.root, a.path, a.after is not None and is_dir(a.after)) for a in journal.actions))
        for root in journal.roots:
            directory = store.root_directory(root)
            with During("open directory", directory):
                self.trees[root[0]] = Tree(directory)

    def tree(self, root):
        if root not in self.trees:
            raise Problem("damaged", f"the journal names no root `{show(root)}`")
        return self.trees[root]

    def of(self, action):
        return self.tree(action.root)

    def staged(self, index):
        return self.store.stage(self.journal.id, b"%d" % index)

    def displaced(self, action):
        return self.store.displaced(self.journal.id, stored_path(action.root, action.path))

    def doing(self, what, action):
        return Doing(what, self.of(action).full(action.path), action)

    def numbered(self, test):
        return [(i, a) for i, a in enumerate(self.journal.actions) if test(a)]

    def sync_store(self, *names):
        path = self.store.path(*names)
        with During("sync", path):
            sync(path)

    def replace(self, path, data):
        with During("write", path):
            replace_file(path, data)

    # -- up to the commit

    def begin(self):
        """Says to the build's guard that the workspace is about to change, and journals the intent."""
        self.replace(self.store.path(b"state"), b"rollback " + self.journal.id + b"\n")
        self.sync_store()
        self.replace(self.store.journal(), self.journal.encode())
        self.sync_store(b"rollback")

    def stage(self):
        """Writes every new file to the stage, whatever an earlier attempt left there."""
        directory = self.store.stage(self.journal.id)
        with During("remove", directory):
            remove_tree(directory)
        with During("create directory", directory):
            os.mkdir(directory, 0o700)
        placed, from_archive = self.numbered(Action.places), {}
        tell.phase("Staging", plural(len(placed), "file", "files"), len(placed))
        for index, action in placed:
            check_interrupt()
            if action.after.kind == b"symlink":
                with During("create", self.staged(index)):
                    os.symlink(action.after.content, self.staged(index))
            elif action.origin == b"archive":
                from_archive[index] = action
            else:
                fd = self.open_source(action)
                try:
                    self.stage_file(index, action, lambda: os.read(fd, CHUNK))
                finally:
                    os.close(fd)
        if from_archive:
            self.stage_from_archive(from_archive)
        sync_everything(self.store)

    def open_source(self, action):
        base = self.store.displaced if action.origin == b"displaced" else self.store.session
        path = base(self.journal.target, stored_path(action.root, action.path))
        with During("open", path):
            # The store is ours, but a link in it is not followed all the same.
            if not stat.S_ISREG(os.lstat(path).st_mode):
                raise Problem("damaged", f"`{show(path)}` is no file")
            return os.open(path, READ)

    def stage_file(self, index, action, read):
        path, hasher = self.staged(index), hashlib.sha256()
        if action.after.kind != b"file":
            raise Problem("damaged", f"{action.shown()} is to be no file")
        with During("create", path):
            fd = create(path)
        try:
            with During("write", path):
                for data in iter(read, b""):
                    hasher.update(data)
                    write_all(fd, data)
            if hasher.hexdigest().encode() != action.after.content:
                raise Problem("damaged", f"{action.shown()} was damaged while it was copied")
            with During("finish", path):
                os.fchmod(fd, bits(action.after))
                os.utime(fd)
        finally:
            os.close(fd)

    def stage_from_archive(self, actions):
        lost = Problem("damaged", "the archive that the rollback reads is gone or damaged")
        listed = [p for p in self.store.restore_points() if p.id == self.journal.target]
        if not listed:
            raise lost
        manifest = self.store.manifest(listed[0])
        keys = [(a.root, a.path) for a in actions.values()]
        if any(key not in manifest.index for key in keys):
            raise lost
        by_entry = {manifest.index[key]: index for key, index in zip(keys, actions)}
        for entry, read in archived(self.store, manifest, by_entry):
            check_interrupt()
            index = by_entry.pop(entry)
            self.stage_file(index, actions[index], read)
        if by_entry:
            raise lost

    def recheck(self):
        """Looks at every target once more. What moved since the plan is refused by name."""
        tell.phase("Checking", "that nothing moved since")
        changed, seen = [], []
        for action in self.journal.actions:
            tree = self.of(action)
            with During("read", tree.full(action.path)):
                if tree.look_near(action.path) != action.before:
                    changed.append(action.shown())
                found = tree.stat(action.path, near=True)
            seen.append(found and identity(found))
        self.forget_near()
        if changed:
            raise changed_since(sorted(changed))
        return seen

    def forget_near(self):
        for tree in self.trees.values():
            tree.forget()

    def commit(self):
        """From here on the rollback is finished forwards, or taken back file by file. The whole journal is replaced:
        a mark that is written behind what an earlier attempt left of one would be read as none."""
        self.replace(self.store.journal(), self.journal.encode() + COMMITTED)
        self.sync_store(b"rollback")

    def prepare(self):
        self.stage()
        seen = self.recheck()
        check_interrupt()
        self.commit()
        return seen

    # -- steps of both ways

    def unlock(self):
        for root, path, mode in self.journal.unlock:
            self.open_directory(root, path, mode)

    def open_directory(self, root, path, mode):
        tree = self.tree(root)
        with During("change the mode of", tree.full(path)):
            found = tree.stat(path)
            if found and stat.S_ISDIR(found.st_mode):
                tree.set_mode(path, int(mode, 8) | 0o700)

    def lock_again(self, side):
        """Gives directories the mode that they are to have, the deepest first."""
        modes = {(root, path): mode for root, path, mode in self.journal.unlock}
        for action in self.journal.actions:
            thing = side(action)
            if is_dir(thing):
                modes[action.root, action.path] = thing.mode
            else:
                modes.pop((action.root, action.path), None)
        for root, path in sorted(modes, reverse=True):
            tree = self.tree(root)
            with During("change the mode of", tree.full(path)):
                now = tree.look(path)
                if now.mode and now.mode != modes[root, path]:
                    tree.set_mode(path, int(modes[root, path], 8))

    def give_to_owner(self, tree, path, action=None):
        """Running as root keeps the owner of what is replaced; what is new gets its directory's."""
        if os.geteuid() != 0:
            return
        with During("change the owner of", tree.full(path)):
            owner = None
            if action and action.displaces():
                try:
                    owner = os.lstat(self.displaced(action))
                except OSError:
                    pass
            owner = owner or (tree.stat(parent(path)) if parent(path) else os.fstat(tree.fd))
            now = tree.stat(path)
            if owner is None or now is None or (owner.st_uid, owner.st_gid) == (now.st_uid, now.st_gid):
                return
            tree.set_owner(path, owner.st_uid, owner.st_gid)
            # Changing the owner clears the set-id bits.
            if not stat.S_ISLNK(now.st_mode) and now.st_mode & 0o6000:
                tree.set_mode(path, stat.S_IMODE(now.st_mode))

    def change_mode(self, action, to):
        # A directory's mode is set at the end, when nothing more is put into it.
        if to.mode and not is_dir(to):
            with self.doing("change the mode of", action):
                self.of(action).set_mode(action.path, bits(to))

    def sync(self):
        """Makes both sides durable, directories too, before anything says that it is done."""
        for root, tree in self.trees.items():
            with During("sync", tree.path):
                tree.barrier([a.path for a in self.journal.actions if a.root == root])
        sync_everything(self.store)

    def touch_crate_roots(self):
        for root, path in self.journal.touch:
            tree = self.tree(root)
            with During("touch", tree.full(path)):
                try:
                    tree.set_time(path, time.time_ns())
                except FileNotFoundError:
                    pass

    def renamed(self, what, action, rename, help=None):
        """Renames between store and workspace; `False` where they lie on different file systems."""
        with self.doing(what, action):
            try:
                rename()
                return True
            except FileExistsError:
                problem = changed_since([f"{action.shown()}: something appeared there"])
                problem.help = help or problem.help
                raise problem from None
            except OSError as failure:
                if failure.errno != errno.EXDEV:
                    raise
        return False

    # -- forwards

    def forward(self, seen=None):
        """Moves everything into place. May be begun again after a cut; then nothing was `seen` before."""
        actions = self.journal.actions
        tell.phase("Rolling back", plural(len(actions), "change", "changes"), len(actions))

        def done(action):
            tell.file(PAST[action.verb()], action.shown(), f"{told(action.before)} -> {told(action.after)}")
            if wanted_stop["asked"]:
                raise Stopped

        self.unlock()
        if seen is None:
            self.drop_parts()
        for index, action in self.numbered(lambda a: a.displaces() and not a.places()):
            self.move_out(index, action, seen)
            done(action)
        for _, action in reversed(self.numbered(Action.clears)):
            self.remove_directory(action)
            if not action.places():
                done(action)
        for _, action in self.numbered(Action.makes_directory):
            self.create_directory(action)
            done(action)
        for index, action in self.numbered(Action.places):
            self.place(index, action, seen)
            done(action)
        for _, action in self.numbered(lambda a: a.verb() == "change mode"):
            self.change_mode(action, action.after)
            done(action)
        self.lock_again(lambda a: a.after)
        # Only now: a build that ran meanwhile has an older mark than that.
        for _, action in self.numbered(lambda a: a.places() and a.after.kind == b"file"):
            with self.doing("touch", action):
                self.of(action).set_time(action.path, time.time_ns())
        self.touch_crate_roots()
        self.sync()

    def move_out(self, index, action, seen):
        """Moves the old content of a target out, unless that was done before."""
        to, tree = self.displaced(action), self.of(action)
        with During("look at", tree.full(action.path)):
            stands = tree.stat(action.path) is not None
        if exists(to) and not stands:
            return
        if not exists(to) and not stands:
            raise changed_since([f"{action.shown()}: is gone"])
        if exists(to):
            if self.is_copy_of(tree, action, to):
                # A copy across file systems was cut off before the original went.
                with self.doing("remove", action):
                    tree.remove_file(action.path)
            elif not (is_dir(tree.look(action.path)) and is_dir(action.after)):
                # Not the directory that this action makes, so it is somebody's new file.
                raise changed_since([action.shown()])
            return
        with During("create directory", parent(to)):
            create_directories(parent(to))
        expected = seen[index] if seen else None
        if not self.renamed("move out", action, lambda: tree.move_out(action.path, to)):
            return self.copy_out(tree, action, to, expected)
        # Somebody may have put another file there since the last look. It is safe where it is now; but the plan was
        # made for another.
        with During("look at", to):
            if expected and identity(os.lstat(to)) != expected:
                raise changed_since([action.shown()])

    def is_copy_of(self, tree, action, to):
        with During("look at", to):
            store_tree = Tree(parent(to))
            try:
                return same_content(tree.look(action.path), store_tree.look(basename(to)))
            finally:
                os.close(store_tree.fd)

    def remove_directory(self, action):
        tree = self.of(action)
        with self.doing("look at", action):
            found = tree.stat(action.path)
        # Gone, or already replaced by what is to stand there.
        if found and stat.S_ISDIR(found.st_mode):
            with self.doing("remove", action):
                try:
                    tree.remove_directory(action.path)
                except OSError as failure:
                    if failure.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                        raise
                    raise changed_since([f"{action.shown()}: something appeared in it"]) from None

    def create_directory(self, action):
        tree = self.of(action)
        with self.doing("look at", action):
            now = tree.look(action.path)
        if now is NOTHING:
            with self.doing("create", action):
                # Open for its owner until everything in it stands; then it gets its own mode.
                tree.create_directory(action.path, bits(action.after) | 0o700)
        elif not is_dir(now):
            raise changed_since([action.shown()])
        self.give_to_owner(tree, action.path)

    def place(self, index, action, seen):
        """Puts the staged file or link in place, the old one out of the way first."""
        staged, tree = self.staged(index), self.of(action)
        done_before = not exists(staged) or (seen is None and self.finish_cut_place(tree, action, staged))
        if not done_before:
            if action.displaces():
                self.move_out(index, action, seen)
            if not self.renamed("put in place", action, lambda: tree.move_in(staged, action.path)):
                self.copy_in(tree, index, action, staged)
        self.give_to_owner(tree, action.path, action)

    def finish_cut_place(self, tree, action, staged):
        """After a cut: whether a copy across file systems had come to its end, and only what was staged is left."""
        with self.doing("look at", action):
            now = tree.look(action.path)
        done = same_content(now, action.after) and (not action.displaces() or exists(self.displaced(action)))
        if done:
            with During("remove", staged):
                os.unlink(staged)
        return done

    # -- backwards

    def backward(self):
        """Takes back whatever `forward` did. May be begun again after a cut."""
        actions = self.journal.actions
        tell.phase("Taking back", plural(len(actions), "change", "changes"), len(actions))
        self.unlock()
        for action in actions:
            # What this rollback made may already have its final mode.
            if forbids_writing(action.after):
                self.open_directory(action.root, action.path, action.after.mode)
        self.drop_parts()
        for _, action in self.numbered(lambda a: a.verb() == "change mode"):
            try:
                self.change_mode(action, action.before)
            except Problem as problem:
                if not isinstance(problem.cause, FileNotFoundError):
                    raise
                tell.note(f"{action.shown()} was removed since")
        for index, action in self.numbered(Action.places):
            self.take_back(index, action)
        for _, action in reversed(self.numbered(Action.makes_directory)):
            self.remove_created_directory(action)
        for _, action in self.numbered(Action.clears):
            tree = self.of(action)
            with self.doing("create", action):
                try:
                    tree.create_directory(action.path, 0o700)
                except FileExistsError:
                    pass
            self.give_to_owner(tree, action.path)
        for index, action in self.numbered(Action.displaces):
            self.put_back(index, action)
        self.lock_again(lambda a: a.before)
        # A build may have looked meanwhile.
        self.touch_crate_roots()
        self.sync()

    def take_back(self, index, action):
        """Moves a file that was put in place back to the stage."""
        staged, tree = self.staged(index), self.of(action)
        with self.doing("look at", action):
            now = tree.look(action.path)
        if now is NOTHING:
            return
        displaced, ours = exists(self.displaced(action)), same_content(now, action.after)
        if exists(staged):
            # Not put in place yet, or copied across file systems and not cleared: the copy goes.
            if ours and (displaced or not action.displaces()):
                with self.doing("take back", action):
                    tree.remove_file(action.path)
            return
        if action.displaces() and not displaced:
            # Everything was put back before a cut.
            return
        if is_dir(action.before) and is_dir(now):
            return
        to = staged if ours else self.edited_since(action)
        if not self.renamed("take back", action, lambda: tree.move_out(action.path, to)):
            self.copy_out(tree, action._replace(before=now), to, None)

    def edited_since(self, action):
        """Where a file goes that somebody wrote after the rollback was cut off, and that has to make way."""
        to = self.store.displaced(self.journal.id, b"edited_since", stored_path(action.root, action.path))
        with During("create directory", parent(to)):
            create_directories(parent(to))
        tell.note(f"{action.shown()} was written since; that is kept in {show(to)}")
        return to

    def put_back(self, index, action):
        """Moves a displaced file back to where it stood, with the present as its time: a build may have looked."""
        source, tree = self.displaced(action), self.of(action)
        if not exists(source):
            return
        if self.is_copy_of(tree, action, source):
            # A copy across file systems was cut off between its end and the removal of what was copied.
            with During("remove", source):
                return os.unlink(source)
        help = f"its old content is in {show(source)}"
        if not self.renamed("put back", action, lambda: tree.move_in(source, action.path), help):
            self.copy_back(tree, index, action, source)
        if action.before.kind == b"file":
            with self.doing("touch", action):
                tree.set_time(action.path, time.time_ns())

    def remove_created_directory(self, action):
        tree = self.of(action)
        with self.doing("remove", action):
            found = tree.stat(action.path)
            if found and stat.S_ISDIR(found.st_mode):
                try:
                    tree.remove_directory(action.path)
                except OSError as failure:
                    if failure.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                        raise
                    tell.note(f"{action.shown()} stays: something appeared in it meanwhile")

    # -- where store and workspace lie on different file systems: copies, verified and synced, in place of renames

    def copy_out(self, tree, action, to, expected):
        """Copies, verifies, syncs, then removes the original, if it is still the one that was looked at."""
        # Not beside its target: a name may be as long as names can be.
        part = self.store.stage(self.journal.id, b"part")
        with self.doing("copy out", action):
            remove_if_there(part)
            found = tree.stat(action.path)
            if found is None or (expected and identity(found) != expected):
                raise changed_since([action.shown()])
            if action.before.kind == b"symlink":
                with tree.above(action.path) as (fd, name):
                    os.symlink(os.readlink(name, dir_fd=fd), part)
                give(part, found)
                set_time(part, found.st_mtime_ns)
            elif action.before.kind == b"file":
                source, target = tree.open(action.path), create(part)
                try:
                    digest = copy(source, target)
                    flush(target)
                    give(part, found)
                    os.fchmod(target, stat.S_IMODE(found.st_mode))
                    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))
                finally:
                    os.close(source)
                    os.close(target)
                back = os.open(part, READ)
                try:
                    if digest_of(back, os.fstat(back).st_size) != digest:
                        raise Problem("io", f"{action.shown()} was copied wrongly")
                finally:
                    os.close(back)
            else:
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
            now = tree.stat(action.path)
            if now is None or identity(now) != identity(found):
                raise changed_since([action.shown()])
            os.rename(part, to)
            sync(parent(to))
            tree.remove_file(action.path)

    def part(self, index, action):
        """The name beside the target that a copy across file systems is written to first."""
        name, above = b".backstop-%s-%d" % (self.journal.id, index), parent(action.path)
        return above + b"/" + name if above else name

    def drop_parts(self):
        """After a cut: clears copies across file systems that were under way."""
        for index, action in enumerate(self.journal.actions):
            tree, part = self.of(action), self.part(index, action)
            with self.doing("clear", action):
                if tree.stat(part) is not None:
                    tree.remove_file(part)

    def copy_in(self, tree, index, action, staged, owner=None):
        part = self.part(index, action)
        with self.doing("put in place", action):
            if action.after.kind == b"symlink":
                tree.symlink(action.after.content, part)
                if owner:
                    tree.set_owner(part, *owner)
            elif action.after.kind == b"file":
                source, target = os.open(staged, READ), None
                try:
                    target = tree.create_file(part)
                    if copy(source, target) != action.after.content:
                        raise Problem("io", f"{action.shown()} was copied wrongly")
                    flush(target)
                    if owner:
                        tree.set_owner(part, *owner)
                    os.fchmod(target, bits(action.after))
                    os.utime(target)
                finally:
                    os.close(source)
                    if target is not None:
                        os.close(target)
            else:
                return
            tree.rename(part, action.path)
            os.unlink(staged)

    def copy_back(self, tree, index, action, source):
        with During("look at", source):
            found = os.lstat(source)
        owner = (found.st_uid, found.st_gid) if os.geteuid() == 0 else None
        self.copy_in(tree, index, action._replace(after=action.before), source, owner)

    # -- the end

    def verify(self):
        """Reads back everything that was put in place. Gives how many were right, and what is not."""
        actions, wrong = self.journal.actions, []
        tell.phase("Verifying", plural(len(actions), "change", "changes"))
        for action in actions:
            with self.doing("read", action):
                if self.of(action).look_near(action.path) != action.after:
                    wrong.append(action.shown())
        self.forget_near()
        return len(actions) - len(wrong), wrong

    def close(self):
        """Ends the rollback: the journal gets its final name, and the build's guard hears of it."""
        closed_journal = self.store.rollback(b"rollback_%s.journal" % self.journal.id)
        with During("rename", closed_journal):
            os.rename(self.store.journal(), closed_journal)
        self.end()

    def forget(self):
        """Forgets the rollback: the workspace is as it was."""
        displaced = self.store.displaced(self.journal.id)
        # What was put back left empty directories; a file that is still there is somebody's, and stays.
        with During("clear", displaced):
            remove_empty_directories(displaced)
        with During("remove", self.store.journal()):
            remove_if_there(self.store.journal())
        self.end()

    def end(self):
        """Without its journal it has ended, whatever becomes of the rest: the next writer clears that."""
        try:
            self.sync_store(b"rollback")
            self.replace(self.store.path(b"state"), STATE_IDLE)
            self.sync_store()
            staged, displaced = self.store.stage(self.journal.id), self.store.displaced(self.journal.id)
            with During("remove", staged):
                remove_tree(staged)
            # An edit of everything below the workspace is not to reach what an undo needs.
            with During("change the mode of", displaced):
                set_directory_modes(displaced, 0o500)
        except Problem as problem:
            cause = "".join(list(causes(problem))[:1])
            tell.note(f"{problem.message}: {cause}; the next command that writes clears that up")


class Doing(During):
    """As `During`, for what is done to an action's target: a link or a file above it is a change."""

    def __init__(self, what, path, action):
        super().__init__(what, path)
        self.action = action

    def __exit__(self, kind, failure, trace):
        if isinstance(failure, OSError) and failure.errno in (errno.ELOOP, errno.ENOTDIR):
            problem = changed_since([f"{self.action.shown()}: a directory above it became a link or a file"])
            problem.cause = failure
            raise problem from None
        return super().__exit__(kind, failure, trace)


def changed_since(paths):
    text = "1 path has" if len(paths) == 1 else f"{len(paths)} paths have"
    return Problem(
        "changed", f"{text} changed since the plan was made", paths,
        help="stop what writes to the workspace (an editor, a build), then roll back again")


def told(thing):
    return thing.content.decode() if thing.kind == b"file" and thing.content else NOUNS[thing.kind]


def give(path, found):
    if os.geteuid() == 0:
        os.chown(path, found.st_uid, found.st_gid, follow_symlinks=False)


def sync_everything(store):
    """Makes everything in the store's file system durable."""
    with During("sync", store.directory):
        fd = os.open(store.directory, os.O_RDONLY)
        try:
            barrier(fd, lambda: [flush_at(path) for path, _ in below(store.rollback())])
        finally:
            os.close(fd)


# ---- undo: another transaction, planned from the last one's journal and fed by what it displaced


def plan_undo(store):
    store.refuse_cut_off()
    names = (re.fullmatch(rb"rollback_(.*)\.journal", name) for name in names_in(store.rollback()))
    ids = [found.group(1) for found in names if found and parse_id(found.group(1)) is not None]
    if not ids:
        text = "no rollback was made here, so there is none to undo"
        raise Problem("no restore point", text, help="`list` shows the restore points")
    of = max(ids)
    journal, _ = read_journal(store.rollback(b"rollback_%s.journal" % of))
    undone = Transaction(store, journal)
    place = store.displaced(journal.id)
    kept = Tree(place) if os.path.isdir(place) else None
    actions, left, lost, unchanged, unlock = [], [], [], 0, {}
    for done in journal.actions:
        check_interrupt()
        tree = undone.of(done)
        with During("read", tree.full(done.path)):
            now = tree.look(done.path)
        wanted = done.before
        if done.displaces():
            with During("read", place):
                wanted = kept.look(stored_path(done.root, done.path)) if kept else NOTHING
            if wanted is NOTHING:
                lost.append(done.shown())
                continue
            if wanted.kind == done.before.kind == b"file" and done.before.content not in (b"", wanted.content):
                lost.append(f"{done.shown()}: was changed after it was moved out")
                continue
        if now == wanted:
            unchanged += 1
            continue
        if wanted is SPECIAL:
            left.append((done.shown(), REASONS["special"]))
            continue
        if wanted.kind == b"file" and not wanted.content:
            left.append((done.shown(), f"it cannot be read: it stays in {show(place)}"))
            continue
        above = parent(done.path)
        if above:
            directory = tree.look(above)
            if forbids_writing(directory):
                unlock[done.root, above] = directory.mode
        action = Action(done.root, done.path, now, wanted, b"")
        actions.append(action._replace(origin=b"displaced") if action.places() else action)
    if lost:
        files_are = plural(len(lost), "file is", "files are")
        raise Problem(
            "damaged", f"{files_are} gone that rollback {of.decode()} displaced; nothing was changed", lost,
            help="its restore point of the present may hold them: see `list`, label pre_rollback")
    actions = keep_occupied_directories(undone, actions)
    placed = {(a.root, a.path) for a in actions}
    kind = "rollback to" if journal.purpose == b"rollback" else "undo of"
    return Plan(
        b"undo", journal.id, f"the state before the {kind} {journal.target.decode()}", None, actions,
        [key for key in journal.touch if key not in placed], [(*key, unlock[key]) for key in sorted(unlock)], left, [],
        count(actions, len(left), unchanged), None, git_state(store.root), journal.roots)


def keep_occupied_directories(undone, actions):
    """A directory that the rollback made goes only where everything in it goes."""
    going = {(a.root, a.path) for a in actions if a.after is NOTHING}
    kept = set()
    for action in reversed(actions):
        if is_dir(action.before) and action.after is NOTHING:
            directory = undone.of(action).full(action.path)
            with During("read directory", directory):
                inside = [(action.root, action.path + b"/" + name) for name in os.listdir(directory)]
            if any(key not in going or key in kept for key in inside):
                kept.add((action.root, action.path))
    return [a for a in actions if not (a.after is NOTHING and (a.root, a.path) in kept)]


# ---- apply, resume, abort

Outcome = collections.namedtuple("Outcome", "id purpose counts verified mismatches displaced seconds")


def apply_plan(store, plan):
    started = time.time_ns()
    store.refuse_cut_off()
    store.mend()
    id = store.next_id()
    tell.open_log(store, id)
    target, rows = plan.of.decode(), len(plan.actions)
    purpose = f"Rollback {{ to: {target} }}" if plan.purpose == b"rollback" else f"Undo {{ of: {target} }}"
    tell.line(f"{purpose} {plan.target}: {rows} actions")
    for path, why in plan.left:
        tell.line(f"left alone: {path}: {why}")
    journal = Journal(
        id, plan.purpose, plan.of, b"", rfc3339(started).encode(), plan.roots, plan.unlock, plan.touch, plan.actions)

    def run():
        transaction = Transaction(store, journal)
        try:
            transaction.begin()
            seen = transaction.prepare()
        except Exception as failure:
            raise give_up(transaction, as_problem(failure)) from None
        verified = finish(transaction, lambda: transaction.forward(seen), True)
        return outcome(store, journal, plan.counts, verified, started)

    return logged(run, lambda o: f"{o.verified} changes verified, {len(o.mismatches)} mismatches")


def logged(run, summary):
    try:
        result = run()
    except Exception as failure:
        problem = as_problem(failure)
        tell.end_log(problem, None)
        raise problem from None
    tell.end_log(None, summary(result))
    return result


def give_up(transaction, problem):
    """Ends a rollback that touched nothing of the workspace."""
    try:
        transaction.forget()
    except Exception as failure:
        second = as_problem(failure)
        if transaction.store.is_cut_off():
            text = "the rollback failed before it changed anything, and so did ending it"
            return cut_off(transaction, text, [problem.message, second.message], problem)
    # What is left in the store, the next writer clears.
    return problem


def finish(transaction, move, take_back):
    """What follows the commit: move, verify and close, or take back."""
    try:
        move()
    except Stopped:
        raise cut_off(transaction, "the rollback was stopped between two states") from None
    except Exception as failure:
        problem = as_problem(failure)
        if not take_back:
            raise cut_off(transaction, "the rollback could not be finished", problem.lines(), problem) from None
        raise taken_back(transaction, problem) from None
    try:
        verified = transaction.verify()
        transaction.close()
        return verified
    except Exception as failure:
        problem = as_problem(failure)
        raise cut_off(transaction, "the rollback is done but for its end", [problem.message], problem) from None


def taken_back(transaction, problem):
    try:
        transaction.backward()
        transaction.forget()
    except Exception as failure:
        if transaction.store.is_cut_off():
            text = "the rollback failed, and so did taking it back"
            return cut_off(transaction, text, [problem.message, as_problem(failure).message], problem)
        return problem
    problem.message += "; everything was put back, and the workspace is as it was"
    problem.help = problem.help or "mend the cause, then roll back again"
    return problem


def cut_off(transaction, text, details=(), cause=None):
    if not transaction.store.is_cut_off():
        return Problem("io", text, details, cause=cause)
    return Problem("cut off", text, details, help=transaction.store.ways_out(), cause=cause)


def outcome(store, journal, counts, verified, started):
    displaced, seconds = store.displaced(journal.id), max(0, time.time_ns() - started) / 10**9
    displaced = displaced if os.path.exists(displaced) else None
    result = Outcome(journal.id.decode(), journal.purpose, counts, *verified, displaced, seconds)
    # The report repeats what the journal and the log say; a rollback that is done is not failed for it.
    report = {
        "format": 1, "id": result.id, "purpose": journal.purpose.decode(), "target": journal.target.decode(),
        "pre_rollback": journal.pre_rollback.decode() or None, "counts": counts, "verified": result.verified,
        "mismatches": result.mismatches, "unreadable": []}
    path = store.rollback(b"rollback_%s.json" % journal.id)
    try:
        remove_if_there(path)
        fd = create(path)
        try:
            write_all(fd, (json.dumps(report, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode())
            os.fchmod(fd, 0o400)
        finally:
            os.close(fd)
    except OSError as failure:
        tell.note(f"the report was not written: {io_problem('write', path, failure).message}")
    return result


def open_journal(store):
    """The journal of a rollback that was cut off. Where there is none, a guard's mark that was left is cleared."""
    if not store.is_cut_off():
        store.mend()
        return None
    try:
        journal, committed = read_journal(store.journal())
    except Problem as problem:
        # Neither way out can be taken: that is still a cut-off rollback, and not "nothing was changed".
        problem.kind = "cut off"
        problem.help = (
            f"what it moved is in {show(store.rollback())}/displaced_*; to give the rollback up, move "
            f"`{show(store.journal())}` away, then roll back anew")
        raise
    tell.open_log(store, journal.id)
    return journal, committed


def resume(store):
    started, opened = time.time_ns(), open_journal(store)
    if opened is None:
        return None
    journal, committed = opened
    tell.line("resumed after its commit" if committed else "resumed before its commit")
    transaction = Transaction(store, journal)

    def run():
        seen = None
        if not committed:
            try:
                seen = transaction.prepare()
            except Exception as failure:
                raise give_up(transaction, as_problem(failure)) from None
        verified = finish(transaction, lambda: transaction.forward(seen), not committed)
        return outcome(store, journal, count(journal.actions, 0, 0), verified, started)

    return logged(run, lambda _: "resumed and done")


def abort(store):
    opened = open_journal(store)
    if opened is None:
        return None
    journal, committed = opened
    tell.line("taken back")
    transaction = Transaction(store, journal)

    def run():
        try:
            if committed:
                transaction.backward()
            transaction.forget()
        except Exception as failure:
            problem = as_problem(failure)
            raise cut_off(transaction, "the rollback could not be taken back", problem.lines(), problem) from None
        return opened

    return logged(run, lambda _: "taken back: the workspace is as it was")


# ---- what is printed

NAMED, LEFT_NAMED = 200, 20


def shell(path):
    """A path for a command line that a person copies: quoted where a shell needs it."""
    if re.fullmatch(rb"[A-Za-z0-9/._+=:@%,][A-Za-z0-9/._+=:@%,-]*", path):
        return path.decode()
    try:
        text = path.decode("utf-8")
        if not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in text):
            return "'" + text.replace("'", "'\\''") + "'"
    except ValueError:
        pass
    # What bash and zsh read as bytes.
    escaped = (f"\\{chr(b)}" if b in b"'\\" else chr(b) if 32 <= b < 127 else f"\\x{b:02x}" for b in path)
    return "$'" + "".join(escaped) + "'"


def show_git(state):
    branch = show(state["branch"]) if state.get("branch") else "detached"
    head = state.get("head")
    return f"{branch} {head[:9]}" if head else f"{branch}, no commit yet"


def show_duration(seconds):
    s = int(seconds)
    if s < 10:
        return f"{seconds:.2f} s"
    return f"{s} s" if s < 120 else f"{s // 60} min {s % 60} s" if s < 7200 else f"{s // 3600} h {s // 60 % 60} min"


def show_plan(store, plan):
    verb = lambda text: f"{text:>12}  "
    lines = [verb("Workspace") + show(store.root)]
    if plan.purpose == b"rollback":
        message = show(plan.message) if plan.message else ""
        message = message if len(message) <= 60 else message[:59] + "…"
        message = f'  "{message}"' if message else ""
        beside = len(plan.target) + len(message) <= 66
        lines.append(verb("Back to") + plan.target + (message if beside else ""))
        if not beside:
            lines.append(" " * 14 + message.lstrip())
    else:
        lines += [verb("Undo") + f"rollback {plan.of.decode()}", verb("Back to") + plan.target]
    then, now = plan.git_then, plan.git_now
    if then and now and all(then.get(key) == now[key] for key in now):
        lines.append(verb("Git") + show_git(now))
    elif then and now:
        lines += [verb("Git") + f"then {show_git(then)}, now {show_git(now)}", " " * 14 + "git itself is not touched"]
    if len(plan.actions) < NAMED or tell.verbose:
        lines += [verb(a.verb()) + a.shown() + detail(a) for a in plan.actions]
    else:
        lines.append(" " * 14 + f"{len(plan.actions)} changes: -v names each")
    named = len(plan.left) if tell.verbose else LEFT_NAMED
    lines += [verb("leave alone") + f"{path}  ({why})" for path, why in plan.left[:named]]
    if len(plan.left) > named:
        lines.append(" " * 14 + f"… and {len(plan.left) - named} more left alone")
    if plan.outside:
        differ = plural(len(plan.outside), "path differs", "paths differ")
        lines.append(verb("outside") + f"{differ} outside the workspace; --outside writes them")
        lines += [" " * 14 + path for path in plan.outside[:LEFT_NAMED]]
    return "\n".join(lines) + "\n"


def detail(action):
    before, after = action.before, action.after
    if action.verb() == "change mode":
        return f"  {before.mode.decode()} -> {after.mode.decode()}"
    if action.verb() == "replace" and before.kind != after.kind:
        return f"  ({NOUNS[before.kind]} -> {NOUNS[after.kind]})"
    return ""


def counted(counts):
    join = lambda *names: ", ".join(f"{counts[name]} {text}" for name, text in names if counts[name])
    files = join(
        ("created", "created"), ("replaced", "replaced"), ("mode_changed", "mode changed"), ("displaced", "moved out"),
        ("left_alone", "left alone"))
    directories = join(("directories_created", "created"), ("directories_removed", "removed"))
    files = files or ("no files" if directories else "nothing")
    return files, f"Directories: {directories}" if directories else None


def show_plan_end(plan):
    n = plan.counts["unchanged"]
    if not plan.actions:
        files = plural(n, "file is as the restore point has it", "files are as the restore point has them")
        return f"Nothing to do: {files}.\n"
    files, directories = counted(plan.counts)
    right = plural(n, "file is right already", "files are right already")
    directories = f"  {directories}\n" if directories else ""
    return f"Dry run, nothing was changed. It would be:\n  {files}\n{directories}  {right}\n"


def show_outcome(store, o):
    files, directories = counted(o.counts)
    lines = [("Rolled back: " if o.purpose == b"rollback" else "Undone: ") + files]
    if directories:
        lines.append(directories)
    total = plural(o.verified + len(o.mismatches), "change", "changes")
    lines.append(f"Verified: {o.verified}/{total} read back in {show_duration(o.seconds)}")
    if o.mismatches:
        paths = plural(len(o.mismatches), "path was", "paths were")
        lines.append(f"warning: {paths} changed again by something else right away:")
        lines += [f"  {path}" for path in o.mismatches[:NAMED]]
    lines.append("State before: no restore point was made of it; what had to go is kept")
    if o.displaced:
        lines.append(f"Moved out to: {show(o.displaced)}")
    lines.append(f"Undo this: {store.command('--undo')}")
    return "\n".join(lines) + "\n"


def print_problem(problem):
    lines = [f"error: {sentences(7, problem.message)}"]
    lines += [f"  {each}" for each in problem.details[:SHOWN_DETAILS]]
    if len(problem.details) > SHOWN_DETAILS:
        lines.append(f"  … and {len(problem.details) - SHOWN_DETAILS} more")
    lines += [f"  caused by: {show(each)}" for each in causes(problem)]
    if problem.help:
        lines.append(f"help: {sentences(6, problem.help)}")
    put(2, "\n".join(lines) + "\n")


# ---- the command line


class Parser(argparse.ArgumentParser):
    def error(self, message):
        raise Problem("usage", show(message), help="`--help` lists the options")


def parse(arguments):
    parser = Parser(
        prog="rollback.py", allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Brings a workspace back to a restore point, from the store alone.",
        epilog="Exit codes:\n"
        "  0  done\n  1  done, and something else changed files meanwhile\n  2  wrong command line\n"
        "  3  could not be done; nothing was changed\n  4  a rollback was cut off: --resume or --abort\n"
        "  5  another run holds the store")
    add = parser.add_argument
    add("-t", "--timestamp", metavar="TS", help="goes back to an id, the start of one, or `latest`")
    add("--undo", action="store_true", help="undoes the last rollback; can itself be undone")
    add("--resume", action="store_true", help="finishes a rollback that was cut off")
    add("--abort", action="store_true", help="takes back a rollback that was cut off")
    add("-f", "--force", action="store_true", help="does not ask")
    add("--dry-run", action="store_true", help="shows the plan and stops")
    add("--only", metavar="PATH", action="append", default=[], help="only this path, from the root on; may be repeated")
    add("--keep-new", action="store_true", help="leaves in place what was added since")
    add("--from", dest="source", metavar="COPY", choices=("auto", "session", "archive"),
        help="takes from: auto, session or archive [default: auto]")
    add("--outside", action="store_true", help="writes path dependencies outside the workspace too")
    add("--no-wait", action="store_true", help="exit code 5 where another run holds the store")
    add("-v", "--verbose", action="store_true", help="names each change")
    add("-q", "--quiet", action="store_true", help="prints errors only")
    add("--store", metavar="DIR", help="the store [env: BACKSTOP_STORE] [default: the one this lies in]")
    add("--manifest-path", metavar="PATH", help="the workspace's Cargo.toml; it need not exist")
    options = parser.parse_args(arguments)
    others = [f"--{name}" for name in ("undo", "resume", "abort") if getattr(options, name)]
    chosen = others + (["--timestamp"] if options.timestamp is not None else [])
    if not chosen:
        help = "give one of -t TS, --undo, --resume, --abort; `-t latest` is the newest"
        raise Problem("usage", "nothing says what to go back to", help=help)
    narrowing = {
        "--only": options.only, "--keep-new": options.keep_new, "--from": options.source, "--outside": options.outside}
    against = chosen[1:] + ([name for name, given in narrowing.items() if given] if others else [])
    if options.dry_run and (options.resume or options.abort):
        against.append("--dry-run")
    if against:
        help = "give one of them; `--help` lists the options"
        raise Problem("usage", f"{chosen[0]} cannot be used with {against[0]}", help=help)
    options.timestamp = os.fsencode(options.timestamp or "")
    options.source = options.source or "auto"
    return options


def current_directory():
    try:
        return os.getcwdb()
    except OSError:
        # In a deleted directory the shell still knows its name.
        return os.environb.get(b"PWD")


def open_store(options):
    """`--store`, `BACKSTOP_STORE`, the store of `--manifest-path`'s workspace, or the one that this script lies in."""
    here = current_directory() or b"/"
    absolute = lambda path: os.path.join(here, os.fsencode(path))
    root = None
    if options.manifest_path:
        root = absolute(options.manifest_path)
        root = root if os.path.isdir(root) else parent(root) or b"/"
    named = options.store or os.environ.get("BACKSTOP_STORE")
    if named:
        return Store(absolute(named), root)
    own = os.path.dirname(os.path.dirname(os.path.realpath(os.fsencode(__file__))))
    own = own if is_store(own) and os.path.basename(os.path.dirname(os.path.realpath(__file__))) == "scripts" else None
    directory = (store_of(root) if root else None) or own
    if directory is None:
        where = f"in `{show(root)}`" if root else "around this script"
        raise Problem(
            "no store", f"there is no store of restore points {where}",
            help="name the store: --store DIR, or BACKSTOP_STORE=DIR; or run the `scripts/rollback.py` in it")
    return Store(directory, root)


def store_of(root):
    """The store directly below a workspace root, whatever the settings called it."""
    stores = []
    try:
        names = sorted(os.listdir(root))
    except OSError:
        return None
    for path in (os.path.join(root, name) for name in names):
        if os.path.isdir(path) and is_store(path):
            info = read_info(path)[0]
            recorded = os.path.realpath(os.path.join(os.path.realpath(path), unescape(info["root"]))) if info else None
            known = recorded is not None and os.path.exists(recorded)
            if recorded == os.path.realpath(root) if known else path == os.path.join(root, b"backup"):
                stores.append(path)
    if len(stores) > 1:
        text = f"`{show(root)}` has {len(stores)} stores of restore points"
        raise Problem("usage", text, [show(path) for path in stores], help="say which is meant: --store DIR")
    return stores[0] if stores else None


def confirm(store, plan):
    """Shows the plan and asks. Ctrl-C at the question ends with exit code 3: nothing was changed."""
    try:
        asked = os.isatty(0)
    except OSError:
        asked = False
    if not asked:
        tell.report(show_plan(store, plan))
        raise Problem(
            "not confirmed", "nobody is there to confirm the rollback; nothing was changed",
            help="where the plan (--dry-run shows it) is right, add --force (-f)")
    put(1, show_plan(store, plan))
    # Before the question: who has seen it may press Ctrl-C.
    wanted_stop["at_question"] = True
    put(2, "Do this? [y/N] ")
    answer = sys.stdin.readline()
    wanted_stop["at_question"] = False
    if answer.strip().lower() not in ("y", "yes"):
        raise Problem("not confirmed", "not confirmed; nothing was changed")


def refuse_moved(shown_plan, now):
    """What is done is what was shown."""
    moved = {a.shown() for a in set(shown_plan.actions) ^ set(now.actions)}
    if moved:
        raise Problem(
            "changed", "the workspace changed after the plan was shown; nothing was done", sorted(moved),
            help="look at the new plan: run it again")


def roll_back(store, options):
    # An absolute path below the workspace is as good as one that counts from its root.
    only = [os.path.normpath(path) if path.startswith(b"/") else path for path in map(os.fsencode, options.only)]
    options.only = [
        b"." if path == store.root else path[len(store.root) + 1:] if path.startswith(store.root + b"/") else path
        for path in only]
    make = (lambda: plan_undo(store)) if options.undo else (lambda: plan_rollback(store, options))
    # Where nobody is asked, nothing may move between the plan and its end; where somebody is, others may work on
    # meanwhile, and the plan is made once more.
    held = options.force and not options.dry_run
    if held:
        store.lock(options.no_wait)
    plan = make()
    if options.dry_run or not plan.actions:
        tell.report(show_plan(store, plan) + show_plan_end(plan))
        return 0
    if held:
        tell.report(show_plan(store, plan))
    else:
        confirm(store, plan)
        store.lock(options.no_wait)
        now = make()
        refuse_moved(plan, now)
        plan = now
    done = apply_plan(store, plan)
    tell.report(show_outcome(store, done))
    # An undo that had to leave something where it is, is not the whole undo.
    return 1 if done.mismatches or (options.undo and plan.left) else 0


def run(options):
    tell.quiet, tell.verbose = options.quiet, options.verbose
    store = open_store(options)
    if options.resume:
        store.lock(options.no_wait)
        done = resume(store)
        tell.report(show_outcome(store, done) if done else "Nothing to resume: no rollback was cut off.\n")
        return 1 if done and done.mismatches else 0
    if options.abort:
        store.lock(options.no_wait)
        opened = abort(store)
        if opened is None:
            tell.report("Nothing to abort: no rollback was cut off.\n")
            return 0
        id, committed = opened[0].id.decode(), opened[1]
        text = "and its changes;\nthe workspace is as it was before it." if committed else (
            "had changed nothing yet;\nthe workspace is as it was.")
        tell.report(f"Taken back: rollback {id} {text}\n")
        return 0
    return roll_back(store, options)


def main():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    os.umask(0o077)
    try:
        return run(parse(sys.argv[1:]))
    except Problem as problem:
        print_problem(problem)
        return CODES.get(problem.kind, 3)
    except Exception as failure:
        print_problem(as_problem(failure))
        return 3


if __name__ == "__main__":
    sys.exit(main())
