#!/usr/bin/env python3
"""Bring a Cargo workspace back to a restore point, from the store alone.

    python3 backup/scripts/rollback.py -t latest             show the plan, then ask
    python3 backup/scripts/rollback.py -t 20261123_05 -f     do not ask; the start of an id is enough
    python3 backup/scripts/rollback.py -t latest --dry-run   show the plan and stop
    python3 backup/scripts/rollback.py --undo                undo the last rollback of a script

For the day on which scripts/backstop does not run. It needs Python 3.8 and no cargo, toolchain or network.
It verifies every byte that it may write, then writes down what it is about to do. Nothing is deleted: what has to
make way is moved to rollback/displaced_ID/ in the store. If it is stopped on the way, give the same command again.

Exit codes: 0 done; 1 done, but not all is as it should be; 2 wrong command line; 3 could not be done, nothing was
changed; 4 a rollback was interrupted: give the same command again; 5 another run holds the store.
"""
import sys
if sys.version_info < (3, 8):
    sys.exit(sys.stderr.write("error: this needs Python 3.8; use scripts/rollback.sh or scripts/backstop\n") and 3)
if not (sys.flags.isolated and sys.flags.no_site and sys.flags.dont_write_bytecode):
    import posix  # Built in. No module that lies beside this file or on PYTHONPATH is to be imported.
    posix.execv(sys.executable, [sys.executable, "-I", "-S", "-B", __file__] + sys.argv[1:])
import argparse, collections, contextlib, errno, fcntl, glob, gzip, hashlib, os, re, shutil, signal, stat  # noqa: E401
import subprocess, tarfile, time, types, zlib  # noqa: E401

# ---- What is told
class Stop(Exception):
    """The end: an exit code, what is wrong, which paths, and what to do about it."""
    def __init__(self, code, text, paths=(), help=""):
        super().__init__(text)
        self.code, self.text, self.paths, self.help = code, text, list(paths), help
def show(path):
    """A path fit for a terminal: no control characters, no marks that reorder text, no broken UTF-8."""
    odd = "[\0-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\udc80-\udcff]"
    escape = lambda found: "\\u{%x}" % ord(found[0]) if ord(found[0]) < 0xdc80 else "\\x%02x" % (ord(found[0]) & 255)
    return re.sub(odd, escape, path.decode("utf-8", "surrogateescape"))
def say(text, fd=1):
    with contextlib.suppress(OSError):  # A reader that went away stops nothing.
        os.write(fd, (text + "\n").encode("utf-8", "backslashreplace"))

# ---- Files of the store. STORE is where this script lies; ROOT is the workspace, ROOT_FD is it opened.
STORE = os.path.dirname(os.path.dirname(os.path.realpath(os.fsencode(__file__))))
ROLLBACK, ROOT, ROOT_FD = os.path.join(STORE, b"rollback"), b"", -1
STATE, JOURNAL = os.path.join(STORE, b"state"), os.path.join(ROLLBACK, b"journal")
EXECUTABLE = show(os.path.join(STORE, b"scripts/backstop")) + " rollback"
def of_run(name, id, *below):
    return os.path.join(ROLLBACK, name % id, *below)
def read(path):
    """All of a file; nothing if there is none."""
    with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
        return file.read()
    return b""
def remove(path, fd=None):
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path, dir_fd=fd)
def replace(path, data):
    """Writes a file so that it is the old one or the new one at every instant, and lasts."""
    directory, name = os.path.split(path)
    new = os.path.join(directory, b"." + name + b".new")
    with open(new, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)
    sync(directory)
def sync(directory):
    fd = os.open(directory, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
def sync_all():
    """Makes all that was written last, in the store and in the workspace."""
    try:
        import ctypes
        failed = [ctypes.CDLL(None).syncfs(fd) for fd in (ROOT_FD, os.open(STORE, os.O_RDONLY))]
    except Exception:
        failed = [True]  # Not on this system.
    if any(failed):
        os.sync()
def free(path):
    """The path, or if something is there the same with a number behind it."""
    names = [path] + [b"%s.%d" % (path, n) for n in range(1, 1000)]
    return next(name for name in names if not os.path.lexists(name))
def lock():
    file = os.open(os.path.join(STORE, b"lock"), os.O_RDWR | os.O_CREAT, 0o600)  # Held until this process ends.
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Stop(5, "another run holds the store", help="wait for it to end, then try again") from None

# ---- What stands at a path: four fields, as the journal has them
State = collections.namedtuple("State", "kind mode size content")
Action = collections.namedtuple("Action", "path before after origin")
NOTHING, SPECIAL = State(b"none", b"", b"", b""), State(b"special", b"", b"", b"")
FILE_OR_LINK = (b"file", b"symlink")
def is_dir(state):
    return state.kind == b"directory"
def is_closed(state):
    """A directory that forbids writing. It is opened for a while."""
    return is_dir(state) and int(state.mode, 8) & 0o300 != 0o300
def same(a, b):
    """Whether content and kind are the same; the mode may differ. A file that cannot be read has no content."""
    return a.kind == b.kind and a.content == b.content and (a.kind != b"file" or a.content != b"")
def is_placed(a):
    return a.after.kind in FILE_OR_LINK and not same(a.before, a.after)
def is_displaced(a):
    return a.before.kind in FILE_OR_LINK and not same(a.before, a.after)
def above(path):
    """Every directory above a path, the nearest first."""
    while b"/" in path:
        path = path.rpartition(b"/")[0]
        yield path
@contextlib.contextmanager
def inside(top, path):
    """The opened directory that holds a path, and its last name. No link on the way is ever followed."""
    *names, last = path.split(b"/")
    fd = os.dup(top)
    try:
        for name in names:
            inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
            os.close(fd)
            fd = inner
        yield fd, last
    finally:
        os.close(fd)
def look(path, top=None):
    """What stands at a path; nothing if a directory above it is a link or a file."""
    try:
        with inside(ROOT_FD if top is None else top, path) as (fd, name):
            found = os.stat(name, dir_fd=fd, follow_symlinks=False)
            mode, size = b"%04o" % stat.S_IMODE(found.st_mode), b"%d" % found.st_size
            if stat.S_ISDIR(found.st_mode):
                return State(b"directory", mode, b"", b"")
            if stat.S_ISLNK(found.st_mode):
                return State(b"symlink", b"", b"", os.readlink(name, dir_fd=fd))
            if not stat.S_ISREG(found.st_mode):
                return SPECIAL
            with contextlib.suppress(PermissionError):  # It can still be moved.
                with open(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=fd), "rb") as file:
                    return State(b"file", mode, size, digest(pieces(file)))
            return State(b"file", mode, size, b"")
    except OSError as failure:
        if failure.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return NOTHING
        raise Stop(3, "cannot read `%s`: %s" % (show(path), failure.strerror)) from None
def pieces(file):
    return iter(lambda: file.read(1 << 17), b"")
def digest(data):
    hasher = hashlib.sha256()
    for piece in data:
        hasher.update(piece)
    return hasher.hexdigest().encode()

# ---- The list of a restore point, and the record of a run: fields that NUL bytes end, with a seal
VERSION_CONTROL = (b".git", b".jj", b".hg", b".sl", b".svn", b".bzr", b".pijul", b"_darcs", b"cvs")
ID = re.compile(rb"[0-9]{8}_[0-9]{6}")
def sealed(fields):
    data = b"".join(field + b"\0" for field in fields)
    return data + b"end\0" + hashlib.sha256(data).hexdigest().encode() + b"\0"
def unseal(path, magic, version):
    """The fields of a file, if its seal is right. An unknown version is called that."""
    data = read(path)
    fields = data[:-69].split(b"\0")[:-1]
    if data != sealed(fields) or fields[:1] != [magic]:
        raise ValueError("is damaged" if data else "is missing")
    if fields[1] != version:
        raise ValueError("has version %s, which this script does not read" % show(fields[1]))
    return iter(fields[2:])
def rows(fields, name, width):
    if next(fields) != name:
        raise ValueError("is malformed")
    return [tuple([next(fields) for _ in range(width)]) for _ in range(int(next(fields)))]
def safe(path):
    """A path that stays below the root and leads into no version control system's directory."""
    if any(name in (b"", b".", b"..") + VERSION_CONTROL for name in path.lower().split(b"/")):
        raise ValueError("has an entry that no restore point has: %s" % show(path))
    return path
def a_state(kind, mode, size, content):
    modes = {b"none": b"", b"special": b"", b"symlink": b"", b"directory": rb"[0-7]{4}", b"file": rb"[0-7]{4}"}
    if not re.fullmatch(modes.get(kind, b"-"), mode) or kind == b"file" and not re.fullmatch(rb"|\w{64}", content):
        raise ValueError("is malformed")
    return State(kind, mode, size, content)
def read_list(name):
    """What a restore point holds of the workspace, and how far a rollback reaches."""
    p = types.SimpleNamespace(name=name, entries={}, crate_roots=set())
    try:
        f = unseal(os.path.join(ROLLBACK, name + b".list"), b"backstop-list", b"2")
        p.backup_id, p.id, _, _ = [next(f) for _ in range(4)]
        (_, root), (_, p.origin), (_, p.archive) = [(next(f), next(f)) for _ in range(3)]
        p.root = re.sub(rb"\\(?:x(..)|.)", lambda m: bytes.fromhex(m[1].decode()) if m[1] else b"\\", root)
        roots = rows(f, b"roots", 2)
        p.roots, p.outside = [r for r in roots if not r[0]], [r for r in roots if r[0]]
        _, _, p.git = next(f), next(f), next(f) == b"1"
        last = b""
        for root, path, kind, mode, size, content, _ in rows(f, b"entries", 7):
            if not root:
                up = safe(path).rpartition(b"/")[0]
                state = a_state(kind, b"" if kind == b"symlink" else mode, size if kind == b"file" else b"", content)
                if path <= last or kind in (b"none", b"special") or up and not is_dir(p.entries[up]):
                    raise ValueError("has an entry that no restore point has: %s" % show(path))
                p.entries[path], last = state, path
        of_root = lambda name: {path for root, path in rows(f, name, 2) if not root}
        p.directories, p.ignored, p.foreign = map(of_root, (b"directories", b"ignored", b"foreign-packages"))
        plain = lambda name: [path for path, in rows(f, name, 1)]
        p.unprotected = set(plain(b"unprotected-directories"))
        p.existed = p.unprotected | set(plain(b"root-entries"))
        p.excluded = [(base, pattern) for root, base, pattern in rows(f, b"excluded", 3) if not root]
        _, _, p.targets = plain(b"members"), plain(b"member-exclude"), plain(b"target-directories") or [b"target"]
        _, count = next(f), int(next(f))
        for _ in range(count):
            root, _, crates = next(f), next(f), [next(f) for _ in range(int(next(f)))]
            p.crate_roots.update(safe(path) for path in crates if not root)
        if p.backup_id == name and p.roots:
            return p
        raise ValueError("is malformed")
    except (ValueError, StopIteration, KeyError) as failure:
        why = failure if isinstance(failure, ValueError) else "is malformed"
        raise Stop(3, "the list of %s %s; nothing was changed" % (show(name), why),
                   help="%s -t %s; or another restore point" % (EXECUTABLE, show(name[-15:]))) from None
def select(wanted):
    """The restore point that is asked for. `latest` passes over those that no person asked for."""
    names = {name[:-5] for name in os.listdir(os.path.join(STORE, b"metadata")) if name.endswith(b".json")}
    names |= {name[:-5] for name in os.listdir(ROLLBACK) if name.endswith(b".list")
              and os.path.isdir(os.path.join(STORE, b"session_" + name[-20:-5]))}  # Its manifest's copy is lost.
    names = [name for name in names if re.fullmatch(rb"[A-Za-z0-9._-]{1,64}_backup_[0-9]{8}_[0-9]{6}", name)]
    names.sort(key=lambda name: name[-15:])
    if wanted == b"latest":
        for name in reversed(names):
            point = None if name.startswith(b"pre_rollback_backup_") else read_list(name)
            if point and point.origin == b"backup":
                return point
            say("note: passed over %s, which no person asked for" % show(name), 2)
        raise Stop(3, "the store holds no restore point that a person made")
    found = [name for name in names if name[-15:].startswith(wanted) or name.startswith(wanted)]
    found = [name for name in found if wanted in (name, name[-15:])] or found
    if len(found) > 1:
        raise Stop(2, "`%s` names %d restore points" % (show(wanted), len(found)), map(show, found))
    if not found:
        raise Stop(3, "no restore point `%s`" % show(wanted), map(show, names[-9:]))
    return read_list(found[0])
def encode(run, magic):
    fields = [magic, b"1", run.id, run.kind, run.target, b"", run.created, b"roots", b"%d" % len(run.roots)]
    fields += [field for root in run.roots for field in root]
    opened = [a for a in run.actions if is_closed(a.before)] if magic == b"backstop-journal" else []
    fields += [b"unlock", b"%d" % len(opened)] + [field for a in opened for field in (b"", a.path, a.before.mode)]
    fields += [b"touch", b"%d" % len(run.touch)] + [field for path in run.touch for field in (b"", path)]
    fields += [b"actions", b"%d" % len(run.actions)]
    return sealed(fields + [x for a in run.actions for x in (b"", a.path, *a.before, *a.after, a.origin)])
def read_record(id):
    """The record of a script's run; `None` if there is none, or it is damaged."""
    with contextlib.suppress(ValueError, StopIteration):
        f = unseal(of_run(b"displaced_%s.list", id), b"backstop-displaced", b"1")
        run = types.SimpleNamespace(id=next(f), kind=next(f), target=next(f))
        _, run.created, run.roots, _ = next(f), next(f), rows(f, b"roots", 2), rows(f, b"unlock", 3)
        run.touch = [safe(path) for root, path in rows(f, b"touch", 2) if not root]
        run.actions = [Action(safe(r[1]), a_state(*r[2:6]), a_state(*r[6:10]), r[10])
                       for r in rows(f, b"actions", 11) if not r[0]]
        if run.id == id and ID.fullmatch(run.target) and run.kind in (b"rollback", b"undo"):
            return run
    return None

# ---- What was added since: all that stands in the recorded scope, is not in the list, and git does not ignore
def ask_git(directory, judged_then):
    """What git ignores below a directory; `None` if nobody can say. Nothing that a repository configures is run."""
    place = directory
    while not os.path.lexists(os.path.join(place, b".git")):
        if place == b"/":
            return None if judged_then else set()
        place = os.path.dirname(place)
    kept = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM")
    env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_") or k in kept}
    env.update(GIT_NO_LAZY_FETCH="1", GIT_ALLOW_PROTOCOL="none", GIT_OPTIONAL_LOCKS="0", GIT_TERMINAL_PROMPT="0")
    settings = ("core.fsmonitor=false", "core.hooksPath=/dev/null", "safe.bareRepository=explicit")
    command = ["git", "--no-pager"] + [word for setting in settings for word in ("-c", setting)]
    command += ["ls-files", "-z", "-o", "-i", "--exclude-standard", "--directory"]
    try:
        answer = subprocess.run(command, cwd=directory, env=env, check=True, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    ignored = {path[:-1] if path.endswith(b"/") else path for path in answer.split(b"\0")}
    if b"." in ignored:  # A repository above ignores all of this one.
        return None if judged_then else set()
    return ignored
def matches(pattern, path):
    """Whether a pattern of the settings fits a path or a directory above it. In doubt it does: then the file stays."""
    plain = {b"**/": rb"(?:[^/]*/)*", b"**": b".*", b"*": b"[^/]*", b"?": b"[^/]", b"{": b"(?:", b"}": b")"}
    plain.update({b",": b"|"} if b"{" in pattern else {})
    words = re.findall(rb"\*\*/|\*\*|\\.|\[[^]]+\]|.", pattern.rstrip(b"/"), re.S)
    regex = [plain.get(w, b"[^/]" if w[:1] == b"[" else re.escape(w[1:] if w[:1] == b"\\" else w)) for w in words]
    try:
        return any(re.fullmatch(b"".join(regex), each, re.S) for each in (path, *above(path)))
    except re.error:
        return True
def holds(places, path):
    return b"" in places or path in places or any(each in places for each in above(path))
def walk(point, run_id):
    """What stands in the workspace, by path; what is not looked into, with the reason; where git cannot judge."""
    found, stays, unjudged = {}, {}, set()
    targets = {os.path.join(ROOT, target) for target in point.targets}
    part = b".backstop-" + run_id + b"-" if run_id else b"/"
    pending = [(b"", b"", ask_git(ROOT, point.git))]
    while pending:
        directory, base, ignored = pending.pop()
        full = os.path.join(ROOT, directory)
        try:
            entries = list(os.scandir(full))
        except OSError as failure:
            stays[directory] = "it cannot be read: %s" % failure.strerror
            continue
        names = {entry.name for entry in entries if entry.is_file(follow_symlinks=False) or entry.name == b".git"}
        start = lambda name: read(os.path.join(full, name))[:1 << 16] if directory and name in names else b""
        own = start(b"CACHEDIR.TAG").startswith(b"Signature: 8a477f597d28d172789f06886806bc55")
        own = own or b'"backstop_store"' in start(b"store.json")
        apart = directory and b".git" in names and directory not in point.entries
        if own or apart:
            del found[directory]
            stays[directory] = "" if own else "it is a repository of its own"
            continue
        if directory and b".git" in names:
            base, ignored = directory + b"/", ask_git(full, True)
        if ignored is None:
            unjudged.add(directory)
        for entry in entries:
            path, is_directory = os.path.join(directory, entry.name), entry.is_dir(follow_symlinks=False)
            target = entry.path in targets or entry.name == b"target" and is_directory and b"Cargo.toml" in names
            if target or entry.name.lower() in VERSION_CONTROL or entry.path == STORE:
                stays[path] = ""
            elif ignored and path[len(base):] in ignored:
                stays[path] = "git ignores it"
            elif not entry.name.startswith(part):
                found[path] = is_directory
                pending += [(path, base, ignored)] if is_directory else []
    return found, stays, unjudged
def find_added(point, run_id):
    """The additions that are to go, and what stays and is named."""
    found, stays, unjudged = walk(point, run_id)
    packages = {path[:-11] for path in found if path.endswith(b"/Cargo.toml")} - point.existed - set(point.entries)
    born = {path for path in packages if not holds(point.directories | point.ignored, path)}
    leads_to_born = {up for path in born for up in (path, *above(path))} - point.existed
    foreign = point.foreign - {b""}
    def in_scope(path, is_directory):
        new_manifest = path.endswith(b"/Cargo.toml") and path[:-11] in point.unprotected and not holds(foreign, path)
        at_root = b"/" not in path and not is_directory
        return at_root or new_manifest or path in leads_to_born or holds(point.directories | born, path)
    def why_it_stays(path):
        below = lambda base: not base or path.startswith(base + b"/")
        if holds(point.ignored, path):
            return "git ignored it then"
        if any(below(base) and matches(glob, path[len(base) + 1 if base else 0:]) for base, glob in point.excluded):
            return "the settings excluded it"
        if holds(foreign, path):
            return "it belongs to a package that was not protected"
        unknown = path.rpartition(b"/")[0] in unjudged
        return "git does not work here, so it cannot be judged" if unknown else ""
    keep, going = {up for path in stays for up in above(path)}, {}
    stays = {path: why for path, why in stays.items() if why and in_scope(path, True) and path not in point.entries}
    for path in sorted(found, reverse=True):
        why, state = why_it_stays(path), None
        if path not in point.entries and in_scope(path, found[path]) and path not in keep and not why:
            state = look(path)
        elif path not in point.entries and in_scope(path, found[path]) and not found[path]:
            stays[path] = why
        if state == SPECIAL:
            stays[path], state = "it is no file", None
        if state:
            going[path] = state
        else:
            keep.update(above(path))
    return going, stays

# ---- The plan: what stands at each path, and what is to stand there
def plan_rollback(point, run_id):
    wanted, stays = find_added(point, run_id)
    wanted = {path: (now, NOTHING) for path, now in wanted.items()}
    for path, entry in point.entries.items():
        now = look(path)
        # A directory that only leads to protected files keeps its mode.
        if now != entry and not (is_dir(now) and is_dir(entry) and not holds(point.directories, path)):
            wanted[path] = (now, entry)
    return wanted, stays
def plan_undo(base, is_open):
    """Back to the first `before` of each path of a run. What it displaced has to be there, unaltered."""
    wanted, stays, lost = {}, {}, []
    kept = of_run(b"displaced_%s", base.id, b"files")
    top = os.open(kept, os.O_RDONLY) if os.path.isdir(kept) else None
    for action in base.actions:
        now, path = look(action.path), action.path
        saved = look(path, top) if top is not None else NOTHING
        before = first_before(action, now, saved != NOTHING) if is_open else action.before
        if now != before and is_displaced(action) and before == action.before and not same(saved, before):
            lost += [show(path)] if saved == NOTHING or before.content else []
            stays[path] = "what was there could not be read; it stays in the store"
        elif now != before:
            wanted[path] = (now, before)
    if lost:
        raise Stop(3, "files that run %s moved are gone or altered; nothing was changed" % show(base.id), lost)
    return wanted, stays
def first_before(action, now, is_saved):
    """What stood at a path before the first of the runs that were interrupted."""
    dirs = is_dir(now) and (is_dir(action.before) or is_dir(action.after))
    begun = now == action.after or now == NOTHING and is_dir(action.before)
    return action.before if is_saved or not is_displaced(action) and (dirs or begun) else now
def merge(opened, wanted, stays, sources):
    """The actions of a run: first those on record, in their order, then the others."""
    for path in list(wanted):  # A directory that forbids writing is opened for a while: that is written down too.
        up = path.rpartition(b"/")[0]
        if up and up not in wanted and is_closed(look(up)):
            wanted[up] = (look(up), look(up))
    firsts = {}
    for a in opened.actions if opened else ():
        saved = os.path.lexists(of_run(b"displaced_%s", opened.id, b"files", a.path))
        now = wanted[a.path][0] if a.path in wanted else look(a.path)
        firsts[a.path] = first_before(a, now, saved)
        if a.path not in wanted:  # Done, or an addition that was to go with others that are gone.
            go_on = now == a.before and a.after == NOTHING or is_dir(now) and not is_dir(a.after) or (
                is_dir(now) and is_dir(a.after))
            wanted[a.path] = (now, a.after if go_on else now)
    going = {path for path, (now, after) in wanted.items() if now != after and not is_dir(after)}
    blocked = [path for path, (now, after) in wanted.items() if now == SPECIAL]
    for path in sorted((path for path in going if is_dir(wanted[path][0])), reverse=True):
        if not {os.path.join(path, name) for name in os.listdir(os.path.join(ROOT, path))} <= going:
            now, after = wanted[path]
            blocked += [] if after == NOTHING else [path]
            wanted[path], stays[path] = (now, now), "something that stays is in it"
            going.remove(path)
    place = os.path.relpath(STORE, ROOT) + b"/"
    blocked += [path for path, (now, after) in wanted.items() if (path + b"/").startswith(place)
                or not is_dir(after) and place.startswith(path + b"/")]
    if blocked:
        raise Stop(3, "these are not a rollback's to move; nothing was changed", map(show, blocked),
                   "move away what stands in the way, then try again; nothing in the store is ever replaced")
    order = list(firsts) + sorted(set(wanted) - set(firsts))
    origins = {a.path: a.origin for a in opened.actions} if opened else {}
    return [Action(path, firsts.get(path, wanted[path][0]), wanted[path][1],
                   sources.get(path, origins.get(path, b""))) for path in order]

# ---- Verified copies
def from_archive(point, wanted):
    """The pieces of each wanted file, as far as the archive can be read. Nothing is unpacked."""
    path = os.path.join(STORE, b"archives", os.path.basename(point.archive or b"?"))
    with contextlib.suppress(OSError, EOFError, tarfile.TarError, zlib.error), gzip.open(path) as data:
        for member in tarfile.open(fileobj=data, mode="r:", encoding="utf-8", errors="surrogateescape"):
            name = member.name.encode("utf-8", "surrogateescape")[6:]
            if name in wanted and member.isreg() and member.size == int(wanted[name].size):
                data.seek(member.offset_data)
                yield name, (data.read(min(left, 1 << 17)) for left in range(member.size, 0, -(1 << 17)))
def verify(point, wanted, allowed):
    """Reads all that may be written. Where each file is right: the session or the archive."""
    needed = {path: after for path, (now, after) in wanted.items() if after.kind == b"file" and not same(now, after)}
    sources, top = {}, os.path.join(STORE, b"session_" + point.id, b"files")
    if allowed != "archive" and os.path.isdir(top):
        fd = os.open(top, os.O_RDONLY)
        sources = {path: b"session" for path, after in needed.items() if same(look(path, fd), after)}
    missing = {path: after for path, after in needed.items() if path not in sources}
    for path, data in from_archive(point, missing) if missing and allowed != "session" else ():
        if digest(data) == missing[path].content:
            sources[path] = b"archive"
    lost = [show(path) for path in needed if path not in sources]
    if lost:
        raise Stop(3, "files of %s are damaged; nothing was changed" % show(point.name), lost,
                   "try scripts/backstop, which reads more of a damaged archive; or another restore point")
    return sources
def stage(run, paths):
    """Writes every new file and link to stage_ID/INDEX, and checks it on the way."""
    def write(index, a, data):
        new = of_run(b"stage_%s", run.id, b"new")
        remove(new)
        if a.after.kind == b"symlink":
            os.symlink(a.after.content, new)
        else:
            with open(new, "xb") as file:
                if digest(piece for piece in data if file.write(piece)) != a.after.content:
                    raise Stop(3, "`%s` was damaged while it was copied" % show(a.path))
                os.fchmod(file.fileno(), int(a.after.mode, 8))
        os.replace(new, of_run(b"stage_%s", run.id, b"%d" % index))
    os.makedirs(of_run(b"stage_%s", run.id), exist_ok=True)
    archived = {}
    for index, a in enumerate(run.actions):
        if a.path in paths and a.after.kind == b"symlink":
            write(index, a, None)
        elif a.path in paths and a.origin == b"archive":
            archived[a.path] = (index, a)
        elif a.path in paths:
            base = b"displaced_%s" if run.kind == b"undo" else b"../session_%s"
            with open(of_run(base, run.target, b"files", a.path), "rb") as file:
                write(index, a, pieces(file))
    for path, data in from_archive(run.point, {path: a.after for path, (_, a) in archived.items()}) if archived else ():
        write(*archived.pop(path), data)
    if archived:
        raise Stop(3, "the archive cannot be read any more", map(show, archived))

# ---- Carrying it out
def carry_out(run, is_new, was_open):
    """State, record, journal, stage; one more look; the commit; then everything moves. Gives what is wrong then."""
    state, journal, record = read(STATE), encode(run, b"backstop-journal"), of_run(b"displaced_%s.list", run.id)
    try:
        replace(STATE, b"rollback %s\n" % run.id)
        replace(record, encode(run, b"backstop-displaced"))
        if not os.path.lexists(JOURNAL):
            replace(JOURNAL, journal)
        todo = {a.path: run.now[a.path] for a in run.actions if not same(run.now[a.path], a.after)}
        stage(run, {path for path in todo if run.after[path].kind in FILE_OR_LINK})
        sync_all()
        changed = [show(a.path) for a in run.actions if look(a.path) != run.now[a.path]]
        if changed:
            raise Stop(3, "something changed since the plan was made; nothing was changed", changed,
                       "stop what writes to the workspace (an editor, a build), then try again")
        old, earlier = read(JOURNAL), ID.search(state)
        if not old.startswith(journal):  # Another's, or of another plan: from here on this one counts.
            replace(free(of_run(b"rollback_%s.superseded", earlier[0] if earlier else run.id)), old)
        replace(JOURNAL, journal + b"committed\0")
    except BaseException as failure:
        if is_new:
            replace(STATE, state or b"idle\n")
            remove(record)
            was_open or remove(JOURNAL)
        elif isinstance(failure, Stop):
            failure.code = 4
        raise
    try:
        move(run, todo)
        touch(run)
        sync_all()
        wrong = [show(a.path) for a in run.actions if look(a.path) != a.after]
        os.rename(JOURNAL, of_run(b"rollback_%s.journal", run.id))
        sync(ROLLBACK)
        settle()
        return wrong
    except BaseException as failure:
        raise Stop(4, "the rollback was interrupted: %s" % show(os.fsencode(str(failure) or "stopped on request")),
                   help="give the same command again; or: %s --resume | --abort" % EXECUTABLE) from failure
def settle():
    """No run is open: what it needed goes, and what it displaced is closed against later edits."""
    replace(STATE, b"idle\n")
    for name in os.listdir(ROLLBACK):
        path = os.path.join(ROLLBACK, name)
        if name.startswith(b"stage_"):
            shutil.rmtree(path)
        elif name.startswith(b".") and name.endswith(b".new"):
            os.unlink(path)
        for directory, _, _ in os.walk(path) if name.startswith(b"displaced_") else ():
            os.chmod(directory, 0o500)
def move(run, todo):
    saved, edited = of_run(b"displaced_%s", run.id, b"files"), of_run(b"displaced_%s", run.id, b"edited_since", b"files")
    for a in run.actions:
        if is_closed(run.now[a.path]):
            chmod(a.path, int(run.now[a.path].mode, 8) | 0o700)
    for path, now in todo.items():
        if now.kind in FILE_OR_LINK:
            to = os.path.join(saved, path)
            to = free(os.path.join(edited, path)) if os.path.lexists(to) else to
            os.makedirs(os.path.dirname(to), exist_ok=True)
            with inside(ROOT_FD, path) as (fd, name):
                move_out(run, fd, name, to)
    for path in sorted(todo, reverse=True):
        if is_dir(todo[path]) and not is_dir(run.after[path]):
            with inside(ROOT_FD, path) as (fd, name):
                os.rmdir(name, dir_fd=fd)
    for a in sorted(run.actions):
        if is_dir(a.after) and not is_dir(a.before):
            with inside(ROOT_FD, a.path) as (fd, name):
                if a.path in todo:
                    os.mkdir(name, 0o700, dir_fd=fd)
                give(name, fd, os.fstat(fd))
    for index, a in enumerate(run.actions):
        if a.path in todo and a.after.kind in FILE_OR_LINK:
            with inside(ROOT_FD, a.path) as (fd, name):
                move_in(run, index, fd, name, os.path.join(saved, a.path))
    for a in sorted(run.actions, key=lambda a: (not is_dir(a.after), a.path), reverse=True):  # Deepest first.
        now = look(a.path)
        if same(now, a.after) and now.mode != a.after.mode:
            chmod(a.path, int(a.after.mode, 8))
def chmod(path, mode):
    with inside(ROOT_FD, path) as (fd, name):
        if not stat.S_ISLNK(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode):
            os.chmod(name, mode, dir_fd=fd)
def give(name, fd, owner):
    """Run by root, what is new belongs to whom the old belonged, or the directory."""
    found = os.stat(name, dir_fd=fd, follow_symlinks=False)
    if os.geteuid() == 0 and (found.st_uid, found.st_gid) != (owner.st_uid, owner.st_gid):
        os.chown(name, owner.st_uid, owner.st_gid, dir_fd=fd, follow_symlinks=False)
        if not stat.S_ISLNK(found.st_mode):
            os.chmod(name, stat.S_IMODE(found.st_mode), dir_fd=fd)  # Set-id bits went with the owner.
def move_out(run, fd, name, to):
    try:
        os.rename(name, to, src_dir_fd=fd)
    except OSError as failure:
        if failure.errno != errno.EXDEV:
            raise
        part = of_run(b"stage_%s", run.id, b"part")  # Another file system: a copy, then the original goes.
        copy(name, fd, part, None)
        os.rename(part, to)
        os.unlink(name, dir_fd=fd)
def move_in(run, index, fd, name, saved):
    """Moves a staged file or link into place, never over something."""
    staged = source = of_run(b"stage_%s", run.id, b"%d" % index)
    old = os.lstat(saved) if os.path.lexists(saved) else None
    give(staged, None, os.fstat(fd) if old is None or stat.S_ISDIR(old.st_mode) else old)
    source_fd = None
    try:
        os.link(staged, name, dst_dir_fd=fd, follow_symlinks=False)
    except OSError as failure:
        if failure.errno == errno.EEXIST:
            raise
        if failure.errno == errno.EXDEV:
            source, source_fd = b".backstop-%s-%d" % (run.id, index), fd
            copy(staged, None, source, fd)
        with contextlib.suppress(FileNotFoundError):
            os.stat(name, dir_fd=fd, follow_symlinks=False)
            raise FileExistsError(errno.EEXIST, "something appeared there", name) from None
        os.rename(source, name, src_dir_fd=source_fd, dst_dir_fd=fd)
    remove(staged)
def copy(source, source_fd, to, to_fd):
    """Copies a file or a link, with mode, time and owner."""
    remove(to, to_fd)
    found = os.stat(source, dir_fd=source_fd, follow_symlinks=False)
    if stat.S_ISLNK(found.st_mode):
        os.symlink(os.readlink(source, dir_fd=source_fd), to, dir_fd=to_fd)
    else:
        opener = lambda fd: lambda path, flags: os.open(path, flags | os.O_NOFOLLOW, 0o600, dir_fd=fd)
        with open(source, "rb", opener=opener(source_fd)) as old, open(to, "xb", opener=opener(to_fd)) as new:
            shutil.copyfileobj(old, new)
            new.flush()
            os.fchmod(new.fileno(), stat.S_IMODE(found.st_mode))
            os.utime(new.fileno(), ns=(found.st_atime_ns, found.st_mtime_ns))
            os.fsync(new.fileno())
    give(to, to_fd, found)
def touch(run):
    """Cargo builds again what is newer than its last build: the present, or what that build is dated if it is ahead."""
    places = (b"/*/.fingerprint/*/dep-*", b"/*/*/.fingerprint/*/dep-*", b"/*/build/*/output", b"/*/*/build/*/output")
    patterns = [glob.escape(os.path.join(ROOT, target)) + place for target in run.point.targets for place in places]
    anchors = [os.lstat(path).st_mtime_ns for pattern in patterns for path in glob.iglob(pattern)]
    stamp = max([time.time_ns()] + [anchor + 10**9 for anchor in anchors])
    for path in run.touch + [a.path for a in run.actions if is_placed(a)]:
        with inside(ROOT_FD, path) if look(path).kind == b"file" else contextlib.nullcontext((-1, b"")) as (fd, name):
            for at in (stamp, stamp + 2 * 10**9) if name else ():  # Some file systems keep whole or even seconds.
                os.utime(name, ns=(at, at), dir_fd=fd, follow_symlinks=False)
                if os.stat(name, dir_fd=fd).st_mtime_ns >= stamp:
                    break

# ---- The command line
def next_id():
    """The present second, or the one after the newest id of the store."""
    directories = (STORE, ROLLBACK, os.path.join(STORE, b"metadata"))
    names = [name for directory in directories for name in os.listdir(directory)]
    last = max(ID.findall(b" ".join(names) + read(os.path.join(STORE, b"store.json"))), default=b"20000101_000000")
    after = time.mktime(time.strptime(last.decode() + " UTC", "%Y%m%d_%H%M%S %Z")) - time.timezone + 1
    return time.strftime("%Y%m%d_%H%M%S", time.gmtime(max(time.time(), after))).encode()
def find_open():
    """The record of a script's run that was interrupted."""
    found = re.fullmatch(rb"rollback ([0-9]{8}_[0-9]{6})\n", read(STATE))
    is_open = found and not os.path.lexists(of_run(b"rollback_%s.journal", found[1]))
    return read_record(found[1]) if is_open else None
def last_run():
    names = [name for name in os.listdir(ROLLBACK) if re.fullmatch(rb"rollback_[0-9]{8}_[0-9]{6}\.journal", name)]
    if not names:
        raise Stop(3, "no rollback was made here, so there is none to undo")
    run = read_record(max(names)[9:24])
    if run is None:
        raise Stop(3, "the last rollback was not a script's; nothing was changed", help=EXECUTABLE + " --undo")
    return run
def point_of(run):
    """The restore point that a run is about, or the newest: both say where the workspace lies."""
    while run and run.kind == b"undo":
        run = read_record(run.target)
    with contextlib.suppress(Stop):
        return select(run.target)
    return select(b"latest")
def print_plan(wanted, stays, title):
    say("   Workspace  %s\n     Back to  %s" % (show(ROOT), title))
    for path in sorted(path for path in wanted if wanted[path][0] != wanted[path][1]):
        now, after = wanted[path]
        verb = "change mode" if same(now, after) else "replace"
        verb = "create" if now == NOTHING else verb if after != NOTHING else "remove dir" if is_dir(now) else "move out"
        say("%12s  %s" % (verb, show(path)))
    for path in sorted(stays):
        say(" leave alone  %s  (%s)" % (show(path), stays[path]))
def parse():
    parser = argparse.ArgumentParser(prog="rollback.py", allow_abbrev=False, description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("-t", "--timestamp", metavar="TS", help="a restore point: an id, the start of one, or `latest`")
    add("--undo", action="store_true", help="undo the last rollback of a script; that can be undone too")
    add("-f", "--force", action="store_true", help="do not ask")
    add("--dry-run", action="store_true", help="show the plan and stop")
    add("--from", dest="source", choices=("session", "archive"), help="take files from there only")
    options = parser.parse_args()
    if bool(options.timestamp) == options.undo or options.undo and options.source:
        parser.error("give either -t TS or --undo; `-t latest` is the newest restore point")
    return options
def main():
    global ROOT, ROOT_FD
    options = parse()
    os.umask(0o077)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    if not os.path.isdir(ROLLBACK):
        raise Stop(3, "`%s` is no store; run the script that lies in a store's scripts/" % show(STORE))
    if not options.dry_run:
        lock()
    opened = find_open()
    foreign = opened is None and os.path.lexists(JOURNAL)
    if foreign and (options.undo or not options.force):
        raise Stop(4, "a rollback of scripts/backstop was interrupted", help="%s --resume | --abort\n"
                   "      or, always safe: a rollback with -f; it keeps all that it moves" % EXECUTABLE)
    goes_on = opened and (not options.undo or opened.kind == b"undo")
    if options.undo:
        base = read_record(opened.target) if goes_on else opened or last_run()
        point = point_of(base)
    else:
        point = base = select(os.fsencode(options.timestamp))
    ROOT = os.path.realpath(os.path.join(STORE, point.root))
    if base is None or not os.path.isdir(ROOT):
        raise Stop(3, "the workspace `%s` or the record of the run is gone; nothing was changed" % show(ROOT),
                   help="%s -t %s --manifest-path DIR/Cargo.toml" % (EXECUTABLE, show(point.id)))
    ROOT_FD = os.open(ROOT, os.O_RDONLY | os.O_DIRECTORY)
    wanted, stays = plan_undo(base, base is opened) if options.undo else plan_rollback(
        point, opened.id if opened else b"")
    sources = {path: b"displaced" for path, (now, after) in wanted.items() if not same(now, after)
               and after.kind in FILE_OR_LINK} if options.undo else verify(point, wanted, options.source)
    run = types.SimpleNamespace(id=opened.id if goes_on else next_id(), point=point, target=base.id, roots=base.roots)
    run.kind = b"undo" if options.undo else b"rollback"
    run.created = opened.created if goes_on else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()).encode()
    run.actions = merge(opened if goes_on else None, wanted, stays, sources)
    run.now, run.after = {path: wanted[path][0] for path in wanted}, {a.path: a.after for a in run.actions}
    not_rust = any((is_placed(a) or is_displaced(a)) and not a.path.endswith(b".rs") for a in run.actions)
    roots = point.crate_roots - {a.path for a in run.actions if is_placed(a)} if not_rust or opened or foreign else ()
    run.touch = sorted(path for path in roots if look(path).kind == b"file")
    print_plan(wanted, stays, "the tree before run " + show(base.id) if options.undo else show(point.name))
    for name, _ in point.outside:
        say("note: not looked at: %s, outside the workspace; scripts/backstop has --outside" % show(name), 2)
    nothing = all(now == after for now, after in wanted.values()) and not opened and not foreign
    if options.dry_run or nothing:
        options.dry_run or settle()
        return say("Nothing to do." if nothing else "Dry run, nothing was changed.")
    if not options.force:
        if not os.isatty(0):
            raise Stop(3, "stdin is not a terminal; nothing was changed", help="if the plan is right, add -f")
        sys.stderr.write("Do this? [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise Stop(3, "not confirmed; nothing was changed")
    wrong = carry_out(run, not goes_on, bool(opened) or foreign)
    say("%s: %d changes, read back; right: %d" % (
        "Undone" if options.undo else "Rolled back", len(run.actions), len(run.actions) - len(wrong)))
    say("Moved out to: %s\nUndo this: %s --undo" % (
        show(of_run(b"displaced_%s", run.id)), show(os.path.join(STORE, b"scripts/rollback.py"))))
    if wrong:
        raise Stop(1, "something else changed these again right away", wrong)
    return 1 if options.undo and stays else 0

try:
    sys.exit(main())
except KeyboardInterrupt:
    sys.exit(say("error: stopped on request; nothing was changed", 2) or 3)
except (Stop, OSError) as failure:
    if isinstance(failure, OSError):
        failure = Stop(3, "%s; nothing was changed" % show(os.fsencode(str(failure))))
    lines = ["error: " + failure.text] + ["  " + path for path in failure.paths[:40]]
    lines += ["  and %d more" % (len(failure.paths) - 40)] if len(failure.paths) > 40 else []
    say("\n".join(lines + (["help: " + failure.help] if failure.help else [])), 2)
    sys.exit(failure.code)
