#!/usr/bin/env python3
"""Bring a Cargo workspace back to a restore point, from the store alone.
    python3 backup/scripts/rollback.py -t latest             show the plan, then ask
    python3 backup/scripts/rollback.py -t 20261123_05 -f     do not ask; the start of an id is enough
    python3 backup/scripts/rollback.py -t latest --dry-run   show the plan and stop
    python3 backup/scripts/rollback.py --undo                undo the last rollback of a script

For the day on which scripts/backstop does not run. First it verifies every byte that it may write. Nothing is deleted:
what makes way is moved to rollback/displaced_ID/ in the store. Exit codes: 0 done; 1 done, but not all is as it should
be; 2 wrong command line; 3 not done, nothing was changed; 4 interrupted: give the same command again; 5 store is busy.
"""
import posix, sys  # These are built in: nothing that lies beside this file is imported here.
OLDER = f"error: this needs Python 3.8 or later; without it use scripts/rollback.sh or scripts/backstop\n"
if sys.version_info < (3, 8): sys.exit(sys.stderr.write(OLDER) and 3)
if not (sys.flags.isolated and sys.flags.utf8_mode):  # Nor from here on; and file names are UTF-8.
    posix.execv(sys.executable, [sys.executable, "-I", "-S", "-B", "-X", "utf8", __file__] + sys.argv[1:])
import argparse, calendar, collections, errno, fcntl, functools, gzip, hashlib, itertools, os, re, shutil  # noqa
import signal, stat, subprocess, tarfile, time, types  # noqa
from contextlib import suppress
from os.path import basename, dirname, isdir, isfile, islink, join, lexists, realpath, relpath
class Stop(Exception):  # The end: an exit code, what is wrong, which paths, and what to do about it.
    def __init__(self, code, text, paths=(), help=""):
        super().__init__(text); self.code, self.text, self.paths, self.help = code, text, list(paths), help
def show(path):  # A path fit for a terminal: nothing in it moves the cursor or reorders text.
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
def say(text, fd=1):
    with suppress(OSError): os.write(fd, (text + "\n").encode("utf-8", "backslashreplace"))  # Readers may go away.
# ---- Files of the store. STORE is where this script lies, ROOT is the workspace.
STORE = dirname(dirname(realpath(__file__)))
ROLLBACK, STATE, JOURNAL = STORE + "/rollback", STORE + "/state", STORE + "/rollback/journal"
ROOT, EXECUTABLE = "", show(STORE) + "/scripts/backstop rollback"
def closed(id): return f"{ROLLBACK}/rollback_{id}.journal"
def displaced(id, path, place="files"): return f"{ROLLBACK}/displaced_{id}/{place}/{path}"
def staged(id, index): return f"{ROLLBACK}/stage_{id}/{index}"
def open_id(): return (re.findall(ID, os.fsdecode(read(STATE))) or [""])[0]  # Of the run that is not ended, or empty.
def names_in(directory): return os.listdir(directory) if isdir(directory) else []
def read(path):  # The bytes of a file; none if it is not there.
    with suppress(FileNotFoundError), open(path, "rb") as file: return file.read()
    return b""
def remove(path): lexists(path) and os.unlink(path)
def on_open(path, work, flags=os.O_NOFOLLOW | os.O_NONBLOCK):  # What `work` gives of an open file or directory.
    fd = os.open(path, os.O_RDONLY | flags)
    try: return work(fd)
    finally: os.close(fd)
def sync(path): on_open(path, os.fsync)
def replace(path, data):  # Writes a file so that it is the old or the new one at every instant, and lasts.
    new = f"{dirname(path)}/.{basename(path)}.new"
    with open(new, "wb") as file: file.write(data)
    sync(new); os.replace(new, path); sync(dirname(path))
class State(collections.namedtuple("State", "kind mode size content")):  # What stands at a path, as in the journal.
    is_dir = property(lambda self: self.kind == "directory")
    is_leaf = property(lambda self: self.kind in ("file", "symlink"))
    is_closed = property(lambda self: self.is_dir and int(self.mode, 8) & 0o300 != 0o300)  # It is opened for a while.
    def same(self, other):  # The mode may differ. A file that cannot be read has no content, and equals none.
        return self[::3] == other[::3] != ("file", "")
class Action(collections.namedtuple("Action", "path before after origin")):
    displaces = property(lambda self: self.before.is_leaf and not self.before.same(self.after))
NOTHING, SPECIAL = State("none", "", "", ""), State("special", "", "", "")
def above(path): return [path[:slash.start()] for slash in re.finditer("/", path)]  # The directories above it.
def enter(path, top=""):  # Goes into the directory that holds a path, through no link; gives the last name.
    os.chdir(top or ROOT)
    *names, last = path.split("/")
    for name in names: on_open(name, os.fchdir, os.O_DIRECTORY | os.O_NOFOLLOW)
    return last
def look(path, top=""):  # What stands at a path; nothing behind a link or a file.
    try:
        name = enter(path, top); found = os.lstat(name)
        mode, content = f"{stat.S_IMODE(found.st_mode):04o}", ""
        if stat.S_ISDIR(found.st_mode): return State("directory", mode, "", "")
        if stat.S_ISLNK(found.st_mode): return State("symlink", "", "", os.readlink(name))
        if not stat.S_ISREG(found.st_mode): return SPECIAL
        with suppress(PermissionError):  # It can still be moved.
            content = digest(pieces(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)))
        return State("file", mode, str(found.st_size), content)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP): return NOTHING
        raise Stop(3, f"cannot read `{show(path)}`: {error.strerror}") from None
def pieces(file):
    with open(file, "rb") as data: yield from iter(lambda: data.read(1 << 17), b"")
def digest(data): return functools.reduce(lambda sum, each: sum.update(each) or sum, data, hashlib.sha256()).hexdigest()
# ---- The list of a restore point, and the record of a run: fields that NUL bytes end, with a seal
OWN_DIRS, OWN_FILES = (".git", ".jj", ".hg", ".sl", ".svn", ".bzr", ".pijul", "_darcs"), (".fslckout", "_FOSSIL_")
ID, OTHERS = "[0-9]{8}_[0-9]{6}", "it is another repository's working tree"
def sealed(fields):
    data = os.fsencode("\0".join([*fields, ""]))
    return data + b"end\0" + digest([data]).encode() + b"\0"
def unseal(path, magic, version):  # The fields of a file, if its seal is right. An unknown version is called that.
    data = read(path); fields = os.fsdecode(data[:-69]).split("\0")[:-1]
    need(data == sealed(fields) and fields[:1] == [magic], f"`{show(path)}` is {'damaged' if data else 'missing'}")
    need(fields[1:2] == [version], f"`{show(path)}` has version {show(''.join(fields[1:2]))}, not {version}")
    return itertools.chain(fields[2:], (need(False) for _ in "-"))  # Where they run out it is malformed.
def need(is_so, text="a list is malformed"):
    if not is_so: raise ValueError(text)
def table(name, rows): return [name, str(len(rows)), *itertools.chain(*rows)]
def rows(fields, name, width):
    return need(next(fields) == name) or [[next(fields) for _ in range(width)] for _ in range(int(next(fields)))]
def ours(fields, name, width): return [row[1:] for row in rows(fields, name, width) if not row[0]]  # Of ROOT.
def safe(path):  # A path that stays below the root, and leads to no place that programs are run from.
    return need(not {"", ".", "..", ".git", ".jj", ".hg"} & {*path.lower().split("/")}, "it has " + show(path)) or path
def a_state(*all):
    return need(re.fullmatch("(none|special|symlink) |(directory|file) [0-7]{4}", " ".join(all[:2]))) or State(*all)
def read_list(name):  # What a restore point holds of the workspace, and how far a rollback reaches.
    f, p = unseal(f"{ROLLBACK}/{name}.list", "backstop-list", "2"), types.SimpleNamespace(name=name, entries={})
    backup_id, p.id, _, _, _, root, _, p.origin, _, p.archive = [next(f) for _ in range(10)]
    p.root = re.sub(r"\\(?:x(..)|.)", lambda m: os.fsdecode(bytes.fromhex(m[1])) if m[1] else "\\", root)
    p.roots, p.git = rows(f, "roots", 2), [next(f) for _ in range(3)][2] == "1"
    for path, kind, mode, size, content, _ in ours(f, "entries", 7):
        need(path not in p.entries and kind in ("file", "symlink", "directory"))
        need("/" not in safe(path) or p.entries.get(dirname(path), NOTHING).is_dir)
        p.entries[path] = a_state(kind, "" if kind == "symlink" else mode, size if kind == "file" else "", content)
    places = lambda name: {path for path, in ours(f, name, 2)}
    plain = lambda name: {path for path, in rows(f, name, 1)}
    p.directories, p.ignored, p.foreign = places("directories"), places("ignored"), places("foreign-packages")
    p.unprotected = plain("unprotected-directories"); p.existed = p.unprotected | plain("root-entries")
    p.excluded = ours(f, "excluded", 3)
    p.members, p.apart, p.targets = plain("members"), plain("member-exclude"), plain("target-directories") or {"target"}
    packages = [(next(f), next(f), [next(f) for _ in range(int(next(f)))]) for _ in range(int([next(f), next(f)][1]))]
    p.crate_roots = {safe(path) for root, _, crates in packages for path in crates if not root}
    p.included, p.checkouts, p.others = [], None, set()
    with suppress(ValueError): p.included, p.checkouts = ours(f, "included", 3), dict(ours(f, "checkouts", 3))
    return need(backup_id == name) or p
def select(wanted):  # `latest` passes over what no person asked for.
    files, pattern = names_in(STORE + "/metadata") + names_in(ROLLBACK), rf"[\w.-]{{1,64}}_backup_{ID}[.](json|list)"
    names = sorted({file[:-5] for file in files if re.fullmatch(pattern, file, re.A)}, key=lambda name: name[-15:])
    names = [name for name in names if f"{name}.json" in files or isdir(f"{STORE}/session_{name[-15:]}")]
    for name in reversed(names) if wanted == "latest" else ():
        point = None if name.startswith("pre_rollback_backup_") else read_list(name)
        if point and point.origin == "backup": return point
        say(f"note: passed over {show(name)}, which `latest` does not mean", 2)
    found = [name for name in names if wanted in (name, name[-15:])]
    found = found or [name for name in names if name.startswith(wanted) or name[-15:].startswith(wanted)]
    text = f"`{show(wanted)}` names {len(found) or 'no'} restore points"
    if len(found) != 1: raise Stop(2 if found or names and wanted != "latest" else 3, text, map(show, found or names[-9:]))
    return read_list(found[0])
def encode(run, magic):
    opened = [("", a.path, a.before.mode) for a in run.actions if a.before.is_closed and magic == "backstop-journal"]
    return sealed([magic, "1", run.id, run.kind, run.target, "", run.created, *table("roots", run.roots),
                   *table("unlock", opened), *table("touch", [("", path) for path in run.touch]),
                   *table("actions", [("", a.path, *a.before, *a.after, a.origin) for a in run.actions])])
def read_record(id):  # The record of a script's run; `None` if there is none, or it is damaged.
    with suppress(ValueError):
        f = unseal(f"{ROLLBACK}/displaced_{id}.list", "backstop-displaced", "1")
        run = types.SimpleNamespace(id=next(f), kind=next(f), target=next(f))
        _, run.created, _, _, _ = next(f), next(f), rows(f, "roots", 2), rows(f, "unlock", 3), rows(f, "touch", 2)
        run.actions = [Action(safe(r[0]), a_state(*r[1:5]), a_state(*r[5:9]), r[9]) for r in ours(f, "actions", 11)]
        if run.id == id and re.fullmatch(ID, run.target) and run.kind in ("rollback", "undo"): return run
# ---- What was added since: all that stands in the recorded scope, is not in the list, and git does not ignore
def ask_git(directory, judged_then):  # What git ignores below a directory, `None` if nobody can say. It runs no hook.
    unknown = None if judged_then else set()
    if not any(lexists(up + "/.git") for up in (directory, *above(directory))): return unknown
    env = {k: v for k, v in os.environ.items() if not re.match("GIT_(?!CONFIG_|CEILING_DIR|DISCOVERY_)", k)}
    env.update(GIT_NO_LAZY_FETCH="1", GIT_ALLOW_PROTOCOL="none", GIT_OPTIONAL_LOCKS="0", GIT_TERMINAL_PROMPT="0")
    command = ["git", "--no-pager", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null",
               "-c", "safe.bareRepository=explicit", "ls-files", "-zoi", "--exclude-standard", "--directory"]
    with suppress(OSError, subprocess.CalledProcessError):
        answer = subprocess.check_output(command, cwd=directory, env=env, stderr=subprocess.DEVNULL)
        ignored = {path.rstrip("/") for path in os.fsdecode(answer).split("\0")}
        return unknown if "." in ignored else ignored  # A repository above may ignore all of this one.
def matches(pattern, path):  # Whether a pattern of the settings fits a path or a directory above it.
    plain = {"**/": "(?:[^/]*/)*", "**": ".*", "*": "[^/]*", "?": "[^/]", "{": "(?:", "}": ")",
             ",": "|" if "{" in pattern else ","}
    words = re.findall(r"\*\*/|\*\*|\\.|\[[^]]+\]|.", pattern.rstrip("/"), re.S)
    regex = "".join(plain.get(word, "[^/]" if word[0] == "[" else re.escape(word[-1])) for word in words)
    return any(re.fullmatch(regex, each, re.S) for each in (path, *above(path)))
def fits(globs, path): return any(holds({up}, path) and matches(glob, path[len(up):].lstrip("/")) for up, glob in globs)
def holds(places, path): return not places.isdisjoint(["", path, *above(path)])  # Whether it lies in one of them.
def is_repository(full):  # Whether it is the top of a working tree, of whatever system.
    has = lambda name, top=full: lexists(join(top, name))
    marks = ".git/HEAD", ".jj/repo", ".hg/requires", ".sl/requires", ".svn/wc.db", ".bzr", ".pijul", "_darcs", *OWN_FILES
    each = (has(name) and not has(dirname(name), dirname(full)) for name in (".svn/entries", "CVS/Entries"))
    return isfile(full + "/.git") or any(map(has, marks)) or any(each)
def is_others(point, path):  # Whether a repository's working tree is none that the restore point knows.
    is_clone, then = isdir(join(ROOT, path, ".git")), point.checkouts
    if then is not None: return path not in then or then[path] == "elsewhere" and is_clone
    return (path not in point.entries or is_clone) and not any(holds({path}, each) for each in point.directories)
def is_not_source(entry, in_cargo):  # Whether version control or cargo keeps its own state there.
    name, is_dir, has = entry.name, entry.is_dir(follow_symlinks=False), lambda name: isfile(join(entry.path, name))
    if name.lower() in OWN_DIRS or name in OWN_FILES or name == "CVS" and has("Entries"): return True
    if in_cargo: return is_dir or re.match("(?!config|[^.].*[.]toml$)|credentials", name, re.S)
    return is_dir and name != ".cargo" and (has(".package-cache") or has(".global-cache"))
def walk(point, opened):  # By path, whether it is a directory (`None`: not looked into), and why it stays.
    found, pending, targets = {}, [("", "", ask_git(ROOT, point.git))], {join(ROOT, each) for each in point.targets}
    while pending:
        top, base, ignored = pending.pop(); full = join(ROOT, top)
        try: entries = list(os.scandir(full))
        except OSError as error: entries, found[top] = [], (None, f"it cannot be read: {error.strerror}")
        names = {entry.name for entry in entries if entry.is_file(follow_symlinks=False)}
        is_store = "store.json" in names and b'"backstop_store"' in read(full + "/store.json")
        is_own = top and is_repository(full)
        if top and ("CACHEDIR.TAG" in names or is_store): entries, found[top] = [], (None, "")
        elif is_own and is_others(point, top):
            entries, found[top] = point.others.add(top) or [], (None, OTHERS)
        elif is_own: base, ignored = top + "/", ask_git(full, True)
        for entry in entries:
            path, is_dir = join(top, entry.name), entry.is_dir(follow_symlinks=False)
            is_target = entry.path in targets or entry.name == "target" and "Cargo.toml" in names or entry.path == STORE
            if is_target or path not in point.entries and is_not_source(entry, basename(top) == ".cargo"):
                found[path] = (None, "")
            elif ignored and path[len(base):] in ignored: found[path] = (None, "git ignores it")
            elif not opened or not entry.name.startswith(f".backstop-{opened.id}-"):
                found[path] = (is_dir, "git does not work here; it cannot be judged" if ignored is None else "")
                pending += [(path, base, ignored)] if is_dir else []
    return found
def find_added(point, opened):  # The additions that are to go, and what stays and is named.
    found, foreign, keep, going, stays = walk(point, opened), point.foreign - {""}, set(), {}, {}
    kept = displaced(open_id(), "")  # What an interrupted run displaced tells too.
    moved = [relpath(join(up, "Cargo.toml"), kept) for up, _, files in os.walk(kept) if "Cargo.toml" in files]
    packages = {path[:-11] for path in [*found, *moved] if path.endswith("/Cargo.toml")}
    known = point.directories | point.ignored
    born = {path for path in packages - point.existed - set(point.entries) if not holds(known, path)}
    included = {path for path, (is_dir, _) in found.items() if is_dir is False and fits(point.included, path)}
    leads = {up for path in born | included for up in (path, *above(path))} - point.existed
    why_it_stays = lambda path: (
        "git ignored it then" if holds(point.ignored, path) else "the settings excluded it" if fits(point.excluded, path)
        else "it belongs to a package that was not protected" if holds(foreign, path) else "")
    for path in sorted(found, reverse=True):  # What is in a directory comes before it.
        is_dir, why = found[path]
        is_manifest = path.endswith("/Cargo.toml") and path[:-11] in point.unprotected and not holds(foreign, path)
        reached = is_manifest or path in leads or holds(point.directories | born, path)
        is_new = path not in point.entries and (reached or "/" not in path and is_dir is False)
        why = why if is_dir is None else why_it_stays(path) or why
        now = look(path) if is_new and not why and is_dir is not None and path not in keep else NOTHING
        if now in (NOTHING, SPECIAL): keep.update(above(path))
        else: going[path] = now
        is_named = is_new and why and not is_dir or path in point.others.intersection(point.entries)
        if now == SPECIAL or is_named: stays[path] = why or "it is no file"
    return going, stays
def taken(point, plan):  # What stays, and cargo will take for a member.
    found, apart = [], point.ignored | point.apart | point.foreign - {""}
    for glob in point.members:
        fit = [""]
        for part in glob.strip("/").split("/"):
            fit = [join(up, name) for up in fit for name in names_in(join(ROOT, up)) if matches(part, name)]
        found += [path for path in fit if isdir(join(ROOT, path)) and path + "/Cargo.toml" not in point.entries]
    return {path: "cargo will take it for a member: move it away" for path in found
            if plan.get(path, "?")[-1] != NOTHING and path not in point.unprotected and not holds(apart, path)}
# ---- The plan: for each path what stands there, and what is to stand there
def plan_rollback(point, opened, allowed):
    going, stays = find_added(point, opened)
    plan = {path: (now, NOTHING) for path, now in going.items()}
    for path, entry in point.entries.items():
        now = look(path)
        only_leads = now.is_dir and entry.is_dir and not holds(point.directories, path)  # Such a one keeps its mode.
        if now != entry and not only_leads and not holds(point.others, path): plan[path] = (now, entry)
    return plan, stays, verify(point, plan, allowed)
def first_before(a, now, is_saved):  # What stood at a path before the first of the runs that were interrupted.
    begun = now == a.after or now == NOTHING and a.before.is_dir or now.is_dir and (a.before.is_dir or a.after.is_dir)
    return a.before if is_saved or not a.displaces and begun else now
def plan_undo(base):  # Back to what stood at each path before a run. What it displaced has to be there.
    plan, stays, lost = {}, {}, []
    for action in base.actions:
        path, before, now = action.path, action.before, look(action.path); saved = look(path, displaced(base.id, ""))
        if not lexists(closed(base.id)): before = first_before(action, now, saved != NOTHING)  # It was interrupted.
        if now != before and action.displaces and before == action.before and not saved.same(before):
            lost += [show(path)] if saved == NOTHING or before.content else []
            stays[path] = "what was there could not be read; it stays in the store"
        elif now != before: plan[path] = (now, before)
    if lost: raise Stop(3, f"files that run {show(base.id)} moved are missing or altered", lost)
    return plan, stays, {path: "displaced" for path, (now, old) in plan.items() if old.is_leaf and not now.same(old)}
def merge(opened, plan, stays, sources):  # All actions, first those on record of an interrupted run, in their order.
    recorded, firsts = opened.actions if opened else [], {}
    for a in recorded:
        now = plan[a.path][0] if a.path in plan else look(a.path)
        firsts[a.path] = first_before(a, now, lexists(displaced(opened.id, a.path)))
        if a.path not in plan:  # Done, or an addition that was to go with others that are missing.
            plan[a.path] = (now, a.after if now.is_dir or now == a.before and a.after == NOTHING else now)
    for up in {dirname(path) for path in plan} - set(plan) - {""}:
        if look(up).is_closed: plan[up] = (look(up), look(up))  # It is opened for a while: that is written down too.
    going, blocked = {path for path, (now, after) in plan.items() if now != after and not after.is_dir}, {}
    for path in sorted((path for path in going if plan[path][0].is_dir), reverse=True):
        if not {f"{path}/{name}" for name in os.listdir(join(ROOT, path))} <= going:
            now, after = plan[path]; going.remove(path)
            if after != NOTHING: blocked[path] = "holds something that stays, and something else goes there"
            plan[path], stays[path] = (now, now), "something that stays is in it"
    blocked.update((path, why) for path, (now, new) in plan.items() for why in [obstacle(plan, path, now, new)] if why)
    if blocked: raise Stop(3, "something stands in the way", [f"{show(path)}: {blocked[path]}" for path in blocked])
    origins = {**{a.path: a.origin for a in recorded}, **sources}
    action = lambda path: Action(path, firsts.get(path, plan[path][0]), plan[path][1], origins.get(path, ""))
    return [action(path) for path in [*firsts, *sorted(set(plan) - set(firsts))]]
MOUNTS = {re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), line.split(" ")[4])
          for line in os.fsdecode(read("/proc/self/mountinfo")).split("\n") if line}
def is_fixed(path):  # Whether it is immutable or append-only, which no mode tells.
    ask = lambda fd: int.from_bytes(fcntl.ioctl(fd, 0x80086601, bytes(8))[:4], sys.byteorder)  # FS_IOC_GETFLAGS
    with suppress(OSError): return getattr(os.lstat(path), "st_flags", 0) & 0x60006 or on_open(path, ask) & 0x30
def obstacle(plan, path, now, new):  # What would keep the plan from being carried out.
    full, up, is_mine = join(ROOT, path), join(ROOT, dirname(path)), lambda at: os.geteuid() in (0, os.lstat(at).st_uid)
    if now == SPECIAL: return "is no file"
    if f"{full}/".startswith(STORE + "/") or not new.is_dir and STORE.startswith(full + "/"): return "lies in the store"
    if (now.is_closed or now.same(new) and now.mode != new.mode) and not is_mine(full): return "is another user's"
    links = [at for at in above(path) if islink(join(ROOT, at))]
    if now == new or not isdir(up) or links and links[0] in plan: return ""
    if links or os.lstat(up).st_dev != os.lstat(ROOT).st_dev or MOUNTS & {join(ROOT, at) for at in (path, *above(path))}:
        return "is a mount point, or lies behind one or a link"
    if is_fixed(full) or is_fixed(up): return "is immutable or append-only (see `lsattr`)"
    is_sticky = now != NOTHING and os.lstat(up).st_mode & stat.S_ISVTX and not (is_mine(up) or is_mine(full))
    if is_sticky or os.statvfs(up).f_flag & os.ST_RDONLY or not (is_mine(up) or os.access(up, os.W_OK)):
        return "lies in a directory that may not be written to"
def from_archive(point, wanted):  # The pieces of each wanted file, as far as the archive can be read.
    path = f"{STORE}/archives/{basename(point.archive or '?')}"
    with suppress(Exception), gzip.open(path) as data, tarfile.open(fileobj=data, mode="r:", encoding="utf-8") as tar:
        for member in tar if wanted else ():
            path = member.name[len("files/"):]
            if path in wanted and member.isreg():
                yield path, iter(functools.partial(tar.extractfile(member).read, 1 << 17), b"")
def verify(point, plan, allowed):  # Reads all that may be written. Where each file is right: session or archive.
    needed = {path: after for path, (now, after) in plan.items() if after.kind == "file" and not now.same(after)}
    is_in_session = lambda path: look(path, f"{STORE}/session_{point.id}/files").same(needed[path])
    sources = {path: "session" for path in needed if allowed != "archive" and is_in_session(path)}
    missing = {path: after for path, after in needed.items() if path not in sources and allowed != "session"}
    archived = {path: "archive" for path, data in from_archive(point, missing) if digest(data) == missing[path].content}
    lost = [show(path) for path in needed if path not in sources and path not in archived]
    if lost: raise Stop(3, f"files of {show(point.name)} are damaged; try another restore point", lost)
    return {**sources, **archived}
def stage(run, todo):  # Writes every new file and link to stage_ID/INDEX, and checks it on the way.
    os.makedirs(staged(run.id, ""), exist_ok=True)
    wanted = {a.path: (index, a) for index, a in enumerate(run.actions) if a.path in todo and a.after.is_leaf}
    archived = {path: a.after for path, (_, a) in wanted.items() if a.origin == "archive"}
    copies = displaced(run.target, "") if run.kind == "undo" else f"{STORE}/session_{run.target}/files/"
    plain = ((path, pieces(copies + path)) for path in list(wanted) if path not in archived)
    for path, data in itertools.chain(plain, from_archive(run.point, archived)):
        index, a, new = *wanted.pop(path), staged(run.id, "part"); remove(new)
        if a.after.kind == "symlink": os.symlink(a.after.content, new)
        else:
            if write(new, data) != a.after.content: raise Stop(3, f"`{show(path)}` was damaged while it was copied")
            os.chmod(new, int(a.after.mode, 8))
        os.replace(new, staged(run.id, index))
    if wanted: raise Stop(3, "the archive cannot be read any more", map(show, wanted))
def refuse_without_room(run, todo):  # Between file systems all is copied: what makes way, then what is new.
    size = lambda paths: sum(os.lstat(path).st_blocks * 512 + 4096 for path in paths)
    out = size(join(ROOT, path) for path in todo if todo[path].is_leaf)
    new = size(staged(run.id, index) for index in names_in(staged(run.id, "")))
    for place, needed in {ROLLBACK: out, ROOT: new - out}.items():
        found = os.statvfs(place); is_short = needed > found.f_bavail * found.f_frsize
        if is_short and os.lstat(ROOT).st_dev != os.lstat(STORE).st_dev: raise Stop(3, f"{place} lacks {needed} bytes")
def carry_out(run, is_new, was_open):  # Nothing in the workspace changes before the commit. Gives what is wrong.
    state, journal, earlier = read(STATE), encode(run, "backstop-journal"), open_id() or run.id
    record = f"{ROLLBACK}/displaced_{run.id}.list"
    todo = {a.path: run.now[a.path] for a in run.actions if not run.now[a.path].same(a.after)}
    try:
        replace(record, encode(run, "backstop-displaced"))
        replace(STATE, f"rollback {run.id}\n".encode())
        if not lexists(JOURNAL): replace(JOURNAL, journal)
        stage(run, todo); os.sync(); refuse_without_room(run, todo)
        changed = [show(a.path) for a in run.actions if look(a.path) != run.now[a.path]]
        if changed: raise Stop(3, "something writes to the workspace; stop it, then try again", changed)
        if not read(JOURNAL).startswith(journal): replace(f"{ROLLBACK}/rollback_{earlier}.superseded", read(JOURNAL))
        replace(JOURNAL, journal + b"committed\0")
    except BaseException as error:
        if is_new:
            replace(STATE, state or b"idle\n"); remove(record); was_open or remove(JOURNAL)
        elif isinstance(error, Stop): error.code = 4
        raise
    try:
        move(run, todo); wrong = touch(run); os.sync()
        wrong += [show(a.path) for a in run.actions if look(a.path) != a.after]
        os.rename(JOURNAL, closed(run.id)); sync(ROLLBACK); settle()
        return wrong
    except BaseException as error:
        help = f"give the same command again; or: {EXECUTABLE} --resume | --abort"
        raise Stop(4, f"the rollback was interrupted: {show(str(error) or 'on request')}", help=help) from error
def touch(run):  # For cargo's next build: to now, or a second past the newest mark of a build.
    tops = [join(ROOT, target, name) for target in run.point.targets for name in names_in(join(ROOT, target))]
    marks = (join(up, name) for top in tops for up, _, names in os.walk(realpath(top))  # A profile may be a link.
             for name in names if name.startswith("dep-") or name in ("output", "stdout"))
    now = max([time.time_ns(), *((int(os.lstat(mark).st_mtime) + 1) * 10**9 for mark in marks)])
    paths = [p for p in run.touch + [a.path for a in run.actions if not a.before.same(a.after)] if look(p)[0] == "file"]
    for path in paths:  # Who does not own a file may set its time to the present, and to nothing else.
        with suppress(OSError): os.utime(enter(path), follow_symlinks=False)
        with suppress(OSError): os.utime(enter(path), ns=(now, now), follow_symlinks=False)
    late = any(os.lstat(join(ROOT, path)).st_mtime_ns // 10**9 < now // 10**9 for path in paths)
    return ["times of files: `cargo clean` before the next build"] * late
def settle():  # No run is open: what it needed goes, and what it displaced is closed.
    replace(STATE, b"idle\n")
    for name in os.listdir(ROLLBACK):
        if name.startswith("stage_"): shutil.rmtree(f"{ROLLBACK}/{name}")
        if name.startswith(".") and name.endswith(".new"): os.unlink(f"{ROLLBACK}/{name}")
        for up, _, _ in os.walk(f"{ROLLBACK}/{name}" if name.startswith("displaced_") else ""): os.chmod(up, 0o500)
def room(run, path):  # Where what stands at a path goes. What an earlier run moved there stays as it is.
    for place in ["files", "edited_since/files", *(f"edited_since{n}/files" for n in range(2, 1000))]:
        to = displaced(run.id, path, place)
        with suppress(FileExistsError, NotADirectoryError):
            os.makedirs(dirname(to), exist_ok=True)
            if not lexists(to): return to
def move(run, todo):
    after, part = {a.path: a.after for a in run.actions}, staged(run.id, "part")
    for path in (path for path in after if run.now[path].is_closed): chmod(path, int(run.now[path].mode, 8) | 0o700)
    for path in (p for p in todo if todo[p].is_leaf): transfer(enter(path), room(run, path), part, os.rename)
    for path in sorted((p for p in todo if todo[p].is_dir and not after[p].is_dir), reverse=True): os.rmdir(enter(path))
    for a in sorted(a for a in run.actions if a.after.is_dir and not a.before.is_dir):
        name = enter(a.path); a.path in todo and os.mkdir(name, 0o700)
        give(name, os.lstat("."))
    for index, a in enumerate(run.actions):
        if a.path in todo and a.after.is_leaf: move_in(run, index, a.path)
    for path in sorted(after, key=lambda path: (not after[path].is_dir, path), reverse=True):  # The deepest first.
        now = look(path)
        if now.same(after[path]) and now.mode != after[path].mode: chmod(path, int(after[path].mode, 8))
def chmod(path, mode): islink(enter(path)) or os.chmod(basename(path), mode)
def give(name, owner):  # Run by root, what is new belongs to whom the old belonged, or the directory.
    found = os.lstat(name)
    if os.geteuid() == 0 and (found.st_uid, found.st_gid) != (owner.st_uid, owner.st_gid):
        os.lchown(name, owner.st_uid, owner.st_gid)
        if not stat.S_ISLNK(found.st_mode): os.chmod(name, stat.S_IMODE(found.st_mode))  # It lost its set-id bits.
def write(path, data):  # Writes pieces to a new file, those of zeros as holes, and gives their digest.
    with open(path, "xb") as file:
        made = digest(each for each in data if (file.write(each) if each.strip(b"\0") else file.seek(len(each), 1)))
        file.truncate(); return made
def copy(source, to):  # Copies a file or a link to another file system, so that it lasts.
    remove(to)
    made = os.symlink(os.readlink(source), to) if islink(source) else write(to, pieces(source))
    shutil.copystat(source, to, follow_symlinks=False); give(to, os.lstat(source))
    if islink(to) or sync(to) or made == digest(pieces(to)): return to
    raise OSError(f"`{source}` was damaged while it was copied")
def transfer(source, to, part, move):  # Moves a file or a link, never over something.
    try: move(source, to)
    except OSError as error:  # Another file system, or one without hard links.
        here = copy(source, part) if error.errno == errno.EXDEV else source
        if lexists(to): raise FileExistsError(errno.EEXIST, "something is there now", to) from None
        os.rename(here, to)
    remove(source)
def move_in(run, index, path):
    name, old, new = enter(path), displaced(run.id, path), staged(run.id, index)
    give(new, os.lstat(old if lexists(old) and not isdir(old) else "."))
    transfer(new, name, f".backstop-{run.id}-{index}", functools.partial(os.link, follow_symlinks=False))
def next_id():  # The present second, or the one after the newest id of the store.
    names, form = names_in(STORE) + names_in(ROLLBACK) + names_in(STORE + "/metadata"), "%Y%m%d_%H%M%S"
    last = max(re.findall(ID, " ".join(names) + os.fsdecode(read(STORE + "/store.json"))), default="20000101_000000")
    return time.strftime(form, time.gmtime(max(time.time(), calendar.timegm(time.strptime(last, form)) + 1)))
def last_run(): return read_record(max(re.findall(f"rollback_({ID}).journal", " ".join(names_in(ROLLBACK))), default=""))
def point_of(run):  # The restore point that a run is about, or the newest: both say where the workspace lies.
    while run and run.kind == "undo": run = read_record(run.target)
    with suppress(Stop, ValueError): return select(run.target if run else "latest")
    return select("latest")
def print_plan(plan, stays, title):
    say(f"   Workspace  {show(ROOT)}\n     Back to  {show(title)}")
    for path, (now, after) in sorted(plan.items()):
        verb = "create" if now == NOTHING else "change mode" if now.same(after) else "replace"
        if after == NOTHING: verb = "remove dir" if now.is_dir else "displace"
        if now != after: say(f"{verb:>12}  {show(path)}")
    for path in sorted(stays): say(f" leave alone  {show(path)}  ({stays[path]})")
def parse():
    parser = argparse.ArgumentParser(prog="rollback.py", allow_abbrev=False, usage=__doc__)
    parser.add_argument("-t", "--timestamp", metavar="TS", dest="point")
    for names in (["--undo"], ["-f", "--force"], ["--dry-run"]): parser.add_argument(*names, action="store_true")
    parser.add_argument("--from", dest="source", choices=("session", "archive")); args = parser.parse_args()
    if bool(args.point) != args.undo and not (args.undo and args.source): return args
    parser.error("give either -t TS or --undo; `-t latest` is the newest restore point")
def main():
    args, _ = parse(), os.umask(0o077)
    for number in (signal.SIGTERM, signal.SIGHUP): signal.signal(number, signal.default_int_handler)
    if not isdir(ROLLBACK): raise Stop(3, f"`{show(STORE)}` is no store; run the script in a store's scripts/")
    inside = (*os.scandir(STORE), *os.scandir(ROLLBACK)); links = [e.path for e in inside if e.is_symlink()]
    links, owner = [show(path) for path in links if not path.endswith("_files")], os.lstat(STORE).st_uid  # For people.
    if links: raise Stop(3, "no link in a store is followed", links)
    if os.geteuid() == 0 != owner: raise Stop(3, "root does not write into a user's store", help=f"sudo -u '#{owner}'")
    lock = None if args.dry_run else os.open(STORE + "/lock", os.O_RDWR | os.O_CREAT, 0o600)
    return lock and fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB) or go(args)  # Held until this process ends.
def go(args):
    global ROOT
    opened = None if lexists(closed(open_id())) else read_record(open_id())  # What a script was interrupted in.
    foreign = opened is None and lexists(JOURNAL)
    help = EXECUTABLE + " --resume | --abort; or, always safe: a rollback with -f, which keeps all that it moves"
    if foreign and not (args.force and args.point): raise Stop(4, "scripts/backstop was interrupted", help=help)
    again = opened and (not args.undo or opened.kind == "undo")
    base = select(args.point) if not args.undo else read_record(opened.target) if again else opened or last_run()
    if not base: raise Stop(3, "there is no rollback to undo, or it was not a script's", help=EXECUTABLE + " --undo")
    point = point_of(base) if args.undo else base
    ROOT, help = realpath(join(STORE, point.root)), EXECUTABLE + " --manifest-path DIR/Cargo.toml"
    if not isdir(ROOT): raise Stop(3, f"the workspace `{show(ROOT)}` is missing", help=help)
    if opened and args.point and not args.dry_run and (opened.kind, opened.target) != ("rollback", base.id):
        say(f"note: run {opened.id} was interrupted, and is undone first", 2)
        return go(argparse.Namespace(**{**vars(args), "point": None, "undo": True})) or go(args)
    plan, stays, sources = plan_undo(base) if args.undo else plan_rollback(point, opened, args.source)
    run = types.SimpleNamespace(point=point, target=base.id, kind="undo" if args.undo else "rollback")
    run.id, run.roots = opened.id if again else next_id(), [root for root in point.roots if not root[0]]
    run.created = opened.created if again else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    run.actions = merge(opened if again else None, plan, stays, sources)
    run.now = {path: now for path, (now, _) in plan.items()}
    cargo_takes = {} if args.undo else taken(point, plan)
    run.touch = [at for at in sorted(point.crate_roots) if not holds(point.others, at) and look(at).kind == "file"]
    print_plan(plan, {**stays, **cargo_takes}, "the tree before run " + base.id if args.undo else point.name)
    for name, _ in point.roots: name and say(f"note: outside the workspace, not looked at: {show(name)}", 2)
    nothing = all(now == after for now, after in plan.values()) and not opened and not foreign
    if nothing and not args.dry_run: settle()
    end = 1 if cargo_takes or point.others.intersection(point.entries) or args.undo and stays else 0
    if nothing or args.dry_run: return say("Nothing to do." if nothing else "Dry run, nothing was changed.") or end
    if not (args.force or os.isatty(0)): raise Stop(3, "stdin is not a terminal", help="if this is right, add -f")
    if not args.force and input("Do this? [y/N] ").lower() not in ("y", "yes"): raise Stop(3, "not confirmed")
    wrong = carry_out(run, not again, bool(opened) or foreign)
    say(f"{'Undone' if args.undo else 'Rolled back'}: {len(run.actions)} changes, {len(wrong)} of them not right")
    say(f"Displaced to: {show(displaced(run.id, ''))}\nUndo this: {show(STORE)}/scripts/rollback.py --undo")
    if wrong: raise Stop(1, "these are not as they should be", wrong)
    return end
try: sys.exit(main())
except (Stop, OSError, ValueError, EOFError, re.error, KeyboardInterrupt) as error:
    if isinstance(error, BlockingIOError): error = Stop(5, "another run holds the store; wait for it to end")
    if not isinstance(error, Stop): error = Stop(3, show(str(error)) or "stopped on request")
    text = "error: " + error.text + "; nothing was changed" * (error.code == 3)
    say("\n".join([text, *("  " + path for path in error.paths), *["help: " + error.help][:bool(error.help)]]), 2)
    sys.exit(error.code)
