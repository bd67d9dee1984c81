#!/usr/bin/env bash
# rollback.sh: brings a workspace back to a restore point, from the store alone.
#
#     backup/scripts/rollback.sh -t latest             show the plan, then ask
#     backup/scripts/rollback.sh -t 20261123_05 -f     do not ask; the start of an id is enough
#     backup/scripts/rollback.sh -t latest --dry-run   show the plan and stop
#     backup/scripts/rollback.sh --undo                undo the last rollback of a script
#
# For the day on which scripts/backstop does not run. It first verifies every byte that it may write, then writes down
# what it is about to do. Nothing is deleted: what has to make way is moved to rollback/displaced_ID/ in the store, and
# nothing there is ever written over. If it is stopped on the way, give the same command again. It reads one file,
# rollback/LABEL_backup_TS.list, and what that names. Backstop's FORMAT.md has the formats.
#
# Exit codes: 0 done; 1 done, but not all is as it should be; 2 wrong command line; 3 could not be done, nothing was
# changed; 4 a rollback was interrupted: give the same command again; 5 another run holds the store.

# In `A && B || C`, C is meant to run whichever fails; backquotes in messages are text; arrays and functions are handed
# to functions by name; globs of the settings are patterns.
# shellcheck disable=SC2015,SC2016,SC2030,SC2031,SC2034,SC2053,SC2317

# A clean shell: -p takes over no function and no startup file. Who says `sh` means bash too.
case ${BASH_VERSION:+bash}:$- in
bash:*p*) ;; *) exec "${BASH:-bash}" -p -- "$0" "$@" ;;
esac
set +o posix && unset BASH_ENV ENV CDPATH GLOBIGNORE TAR_OPTIONS GZIP POSIXLY_CORRECT IFS
export LC_ALL=C && umask 077
shopt -s nullglob dotglob
# ---- Words. A function that has an answer leaves it in R.
OTHERS='use scripts/rollback.py or scripts/backstop'
STEP=planning STORE='' STAGE='' RECORD='' OURS='' STATE='' SCRATCH=''
show() { R=$1 && [[ $R != *[!\ -~]* ]] || printf -v R %q "$1"; } # TEXT: made fit for a terminal
stop() { # CODE TEXT [HELP]: the end. Before the first change, what was written to the store is taken back.
  local code=$1 text=$2 help=${3:+$'\nhelp: '$3} step=$STEP
  trap '' INT TERM HUP
  STEP='' && if [[ $step == begun ]]; then
    if [[ $OURS ]]; then rm -f -- "$JOURNAL"; fi
    (put "$STORE/state" printf '%s\n' "$STATE") && rm -rf -- "$RECORD" "$STAGE"
  elif [[ $step == changing ]]; then
    code=4 text="the rollback was interrupted: $text" help=$'\nhelp: give the same command again'
  fi
  printf 'error: %s\n' "$text$help" >&2 && exit "$code"
}
need() { R=${BACKSTOP_TRIAL:+7} && stop "${R:-3}" "this script needs $1; nothing was changed" "$OTHERS"; } # 7: it was a trial
in_the_way() { show "$1" && stop 3 "$R $2; nothing was changed" 'move it away, then give the same command again'; } # PATH WHY
damaged() { show "${1##*/}" && stop 3 "$R is damaged or missing; nothing was changed" 'use scripts/backstop, or another restore point'; }
# ---- What this machine has to have
((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 404)) || need 'bash 4.4 or later'
for R in flock sha256sum tar gzip stat mv cp ln rm mkdir rmdir chmod chown touch sync date mktemp find xargs sort; do
  command -v "$R" >/dev/null || need "\`$R\`"; done
for R in mv find tar; do [[ $("$R" --version 2>&1) == *GNU* ]] || need "GNU's \`$R\`"; done
[[ $(sync --help) == *--file-system* ]] || need 'GNU coreutils 8.24 or later'
trap 'stop 3 "stopped by a signal"' INT TERM HUP
trap '[[ -z $SCRATCH ]] || rm -rf -- "$SCRATCH"' EXIT
# ---- The command line
USAGE='usage: rollback.sh (-t TS | --undo) [-f] [--dry-run] [--from session|archive]
  -t, --timestamp TS  a restore point: an id, the start of one, or `latest`
      --undo          undo the last rollback of a script; an undo can be undone too
  -f, --force         do not ask; go on even if the executable left a rollback open
      --dry-run       show the plan and stop
      --from COPY     take files from there only: `session` or `archive`'
misused() { printf '%s\nerror: %s\n' "$USAGE" "$1" >&2 && exit 2; }
TARGET='' FORCE='' DRY='' FROM='' UNDO=''
while (($#)); do
  case $1 in # Flags with a value first.
  --*=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" && continue ;;
  -t | --timestamp | --from) (($# > 1)) || misused "\`$1\` needs a value" ;;&
  -t | --timestamp) TARGET=$2 && shift ;;
  --from) FROM=$2 && shift ;;
  -f | --force) FORCE=1 ;;
  --dry-run) DRY=1 ;; --undo) UNDO=1 ;;
  -h | --help) printf '%s\n' "$USAGE" && exit 0 ;;
  *) show "$1" && misused "\`$R\` is not known here; scripts/backstop takes more" ;;
  esac; shift
done
[[ $FROM == @(|session|archive) ]] || misused '`--from` takes `session` or `archive`'
[[ (-z $UNDO && $TARGET) || ($UNDO && -z $TARGET$FROM) ]] || misused 'give either -t TS, or --undo alone'
# ---- The store that this script lies in, and its lock until this script ends
STORE=$(R=${BASH_SOURCE[0]} && cd -P -- "${R%"${R##*/}"}./.." 2>/dev/null && pwd -P && echo .)
STORE=${STORE%$'\n.'} ROLLBACK=${STORE%$'\n.'}/rollback
[[ $STORE && -d $ROLLBACK ]] || { show "$STORE" &&
  stop 3 "\`$R\` is no store; run the script that lies in a store's scripts/"; }
for R in "$STORE"/* "$ROLLBACK"/*; do if [[ -L $R && $R != *_files ]]; then # That one is for people.
  show "$R" && stop 3 "$R is a link, and none is followed in a store; nothing was changed"
fi; done
[[ $EUID != 0 || -O $STORE ]] || stop 3 "root does not write into a user's store; nothing was changed" "sudo -u '#$(stat -c %u -- "$STORE")'"
if [[ -z $DRY ]]; then
  { exec 9>>"$STORE/lock"; } 2>/dev/null || need 'the right to write to the store'
  flock -n -E 75 9 2>/dev/null && R=0 || R=$?
  ((R != 75)) || stop 5 'another run holds the store' 'wait for it to end, then try again'
  ((R == 0)) || need 'a file system on which `flock` works'
fi
# ---- Reading: fields that NUL ends, then `end` and the SHA-256 of all before it
ID_LIKE='^[0-9]{8}_[0-9]{6}$' MODE_LIKE='^[0-7]{4}$' SHA_LIKE='^[0-9a-f]{64}$'
read_sealed() { # FILE MAGIC VERSION: its fields, in L
  L=() AT=0
  [[ -f $1 && ! -L $1 ]] && mapfile -d '' -t L <"$1" && ((${#L[@]} > 11)) &&
    [[ ${L[-2]} == end && $(head -c -69 -- "$1" | sha256sum) == "${L[-1]}  -" && ${L[0]} == "$2" ]] || return 1
  [[ ${L[1]} == "$3" ]] || { show "${1##*/} has version ${L[1]}" && stop 3 "$R, which this script does not read" "$OTHERS"; }
}
fields() { # NAME WIDTH: N, then N × WIDTH fields, in F
  [[ ${L[AT]-} == "$1" && ${L[AT + 1]-} =~ ^(0|[1-9][0-9]{0,6})$ ]] || damaged "$LIST"
  N=${L[AT + 1]} F=("${L[@]:AT+2:L[AT+1]*$2}")
  ((AT += 2 + N * $2, AT < ${#L[@]} - 1)) || damaged "$LIST"
}
check_paths() { # ./PATHS: each has to lie in the workspace, and neither in the store nor where programs are run from
  local p bad=''
  for p; do if [[ $p/ == @(./|*/@(|.|..|.[gG][iI][tT]|.[jJ][jJ]|.[hH][gG])/*) ]]; then bad=$p; fi; done
  show "$bad" && [[ -z $bad ]] || stop 3 "the list has an entry that no restore point has: $R; nothing was changed"
  for p in ${INSIDE:+"$@"}; do if [[ $p/ == "$INSIDE"/* || ($INSIDE/ == "$p"/* && ${WK["$p"]-} == @(file|symlink)) ]]; then
    show "$p" && stop 3 "files of the restore point lie in the store, $R among them; nothing was changed"
  fi; done
}
mount_of() { R=$1 && until [[ -z $R || ${MOUNTS["$R"]-} ]]; do R=${R%/*}; done; } # Two may be of one device.
enter() { # ROOT: goes into the workspace; INSIDE is where the store lies in it, as ./PATH
  printf -v R %b "$1"
  if [[ $R != /* ]]; then R=$STORE/$R; fi
  cd -P -- "$R" 2>/dev/null || { show "$R" && stop 3 "the workspace \`$R\` is missing; nothing was changed" 'scripts/backstop takes --manifest-path'; }
  WS=$(pwd -P && echo .) WS=${WS%$'\n.'} INSIDE='' DEVICE=$(stat -c %d -- "$STORE") NO[.]=$(stat -c %u:%g .)
  [[ $WS != / && $WS/ != "$STORE"/* ]] || stop 3 'the workspace is `/`, or lies in the store; nothing was changed'
  if [[ $STORE == "$WS"/* ]]; then INSIDE=./${STORE#"$WS/"}; fi
  while read -r _ _ _ _ R _; do printf -v R %b "$R" && MOUNTS["$R"]=1; done 2>/dev/null </proc/self/mountinfo
  mount_of "$STORE" && HOME_MOUNT=$R && mount_of "$WS" && [[ $R == "$HOME_MOUNT" && $(stat -c %d .) == "$DEVICE" ]] ||
    need 'the store on the file system of the workspace'
}
# What is wished for, by path: kind, mode, size, content, and where a file comes from. The same of what stands there now
# (its owner last). What the list knows. What an earlier run recorded (REC), and where in it each path is (RI).
declare -A WK=() WM=() WZ=() WC=() WO=() NK=() NM=() NZ=() NC=() NO=() RI=() STAYS=() SOURCE=() APART=()
declare -A MOUNTS=() HELD=() THEN=() OTHERS_OWN=() parents=() NUMBER=() MADE=() ACTED=() CRATE=() ENTRY=() DIRS=() IGNORED=() FOREIGN=() PLAIN=() TARGETS=()
WISHES=() REC=() TOUCH=() MEMBERS=() LEFT=() EXCLUDED=() INCLUDED=() KNOWN='' CODE=0
wish() { WISHES+=("$1") WK["$1"]=$2 WM["$1"]=$3 WZ["$1"]=$4 WC["$1"]=$5 WO["$1"]=$6; }
under() { # SET PATH: whether the set holds the path, or a directory above it
  local -n set=$1 && local p=$2 && until [[ ${set["$p"]-} ]]; do [[ $p == */* ]] && p=${p%/*} || return 1; done
}
take_set() { # SET NAME WIDTH: the last field of each WIDTH
  local -n set=$1 && local i && fields "$2" "$3"
  for ((i = $3 - 1; i < ${#F[@]}; i += $3)); do if [[ ${F[i]} ]]; then set["./${F[i]}"]=1; else set[.]=1; fi; done
}
take_targets() { local path && fields target-directories 1 && for path in "${F[@]}"; do TARGETS["./${path#"$WS/"}"]=1; done; }
read_list() { # FILE: the list of a restore point; its entries are wishes
  local i path kind mode size content origin dir
  read_sealed "$1" backstop-list 2 || damaged "$1"
  LIST=$1 NAME=${L[2]} TO=${L[3]} ARCHIVE=${L[11]} AT=12
  [[ $TO =~ $ID_LIKE && ${1##*/} == "$NAME.list" && $ARCHIVE != */* ]] || damaged "$1"
  fields roots 2 && ROOTS_PATH=${F[1]}
  ((N == 1)) || need 'a restore point without directories outside the workspace'
  GIT=${L[AT + 2]} && ((AT += 3)) && fields entries 7
  for ((i = 0; i < ${#F[@]}; i += 7)); do
    path=./${F[i + 1]} kind=${F[i + 2]} mode=${F[i + 3]} size=${F[i + 4]} content=${F[i + 5]} dir=${path%/*} origin=''
    case $kind in
    file) [[ $mode =~ $MODE_LIKE && $size =~ ^[0-9]+$ && $content =~ $SHA_LIKE ]] && origin=session ;;
    directory) size='' content='' && [[ $mode =~ $MODE_LIKE ]] ;;
    symlink) size='' mode='' && [[ $content ]] ;;
    *) false ;;
    esac && [[ -z ${F[i]}${ENTRY["$path"]-} && ($dir == . || ${WK["$dir"]-} == directory) ]] || damaged "$1"
    ENTRY["$path"]=1 && wish "$path" "$kind" "$mode" "$size" "$content" "$origin"
  done
  take_set DIRS directories 2 && take_set IGNORED ignored 2 && take_set FOREIGN foreign-packages 2 && FOREIGN[.]=''
  take_set PLAIN unprotected-directories 1 && take_set PLAIN root-entries 1
  fields excluded 3 && EXCLUDED=("${F[@]}") && fields members 1 && MEMBERS=("${F[@]}")
  take_set APART member-exclude 1 && take_targets && fields packages 0
  for ((i = N; i > 0; i--)); do
    [[ ${L[AT + 2]-} =~ ^(0|[1-9][0-9]{0,5})$ ]] || damaged "$1"
    for ((N = L[AT + 2], AT += 3; N > 0; N--, AT++)); do CRATE["./${L[AT]-}"]=1; done
  done
  [[ ${L[AT]} == included ]] || return 0 # Older lists end here.
  fields included 3 && INCLUDED=("${F[@]}") && fields checkouts 3 && KNOWN=1
  for ((i = 0; i < ${#F[@]}; i += 3)); do THEN["./${F[i + 1]}"]=${F[i + 2]}; done
}
read_record() { # ID: what a script recorded of its run: per path what was there before the first time, and the wish
  local i && LIST=$ROLLBACK/displaced_$1.list
  read_sealed "$LIST" backstop-displaced 1 && [[ ${L[3]} == @(rollback|undo) && ${L[4]} =~ $ID_LIKE ]] || damaged "$LIST"
  KIND=${L[3]} OF=${L[4]} CREATED=${L[6]} AT=7 TOUCH=() RI=()
  fields roots 2 && ROOTS_PATH=${F[1]-} && fields unlock 3 && fields touch 2
  for ((i = 1; i < ${#F[@]}; i += 2)); do TOUCH+=("./${F[i]}") CRATE["./${F[i]}"]=1; done
  fields actions 11 && REC=("${F[@]}") && for ((i = 0; i < ${#REC[@]}; i += 11)); do RI["./${REC[i + 1]}"]=$i; done
}
# ---- Looking at what stands there
there() { [[ -e $1 || -L $1 ]]; }
each() { printf '%s\0' "$@"; } # never without a path
# ARRAY COMMAND…: the command for all that the array, named here, holds; xargs starts it as often as it has to
on() { local -n paths=$1 && shift && ((${#paths[@]} == 0)) || each "${paths[@]}" | xargs -0 "$@"; }
look() { # PATHS, sorted: fills NK, NM, NZ, NC, NO
  local i path dir files=() found=()
  for path; do NK["$path"]=none NM["$path"]='' NZ["$path"]='' NC["$path"]=''; done
  (($#)) && mapfile -d '' -t found < <(each "$@" | xargs -0 sh -c \
    'exec find -P "$@" -maxdepth 0 -printf "%p\0%y\0%m\0%s\0%l\0%U:%G\0%D\0"' sh 2>/dev/null)
  for ((i = 0; i < ${#found[@]}; i += 7)); do
    path=${found[i]} dir=${found[i]%/*} R=000${found[i + 2]}
    if [[ $dir != . && ${NK["$dir"]-directory} != directory ]]; then continue; fi # Behind a link it leads elsewhere.
    NO["$path"]=${found[i + 5]}
    case ${found[i + 1]} in
    f) NK["$path"]=file NM["$path"]=${R: -4} NZ["$path"]=${found[i + 3]} && files+=("$path") ;;
    d) NK["$path"]=directory NM["$path"]=${R: -4} ;;
    l) NK["$path"]=symlink NC["$path"]=${found[i + 4]} ;;
    *) NK["$path"]=special ;;
    esac
    [[ ${found[i + 6]} == "$DEVICE" ]] || { show "$path" && need "$R on the file system of the store"; }
    [[ ${found[i + 1]} != d || (-r $path && -x $path) ]] || { show "$path" && need "the right to read directory $R"; }
  done
  mapfile -d '' -t found < <(on files sha256sum -z -- 2>/dev/null)
  for path in "${found[@]}"; do NC["${path:66}"]=${path:0:64}; done
}
# ---- What was added since: what git sees in the recorded scope, and the list does not hold
git_sees() { # DIR: what git sees below it, in F; fails where git does not work. Nothing that it configures is run.
  mapfile -d '' -t F < <(
    cd -- "$1" || exit
    for R in "${!GIT_@}"; do [[ $R == GIT_@(CONFIG_*|CEILING_DIR*|DISCOVERY_*) ]] || unset "$R"; done
    export GIT_NO_LAZY_FETCH=1 GIT_ALLOW_PROTOCOL=none GIT_OPTIONAL_LOCKS=0 GIT_TERMINAL_PROMPT=0
    git --no-pager -c core.fsmonitor=false -c core.hooksPath=/dev/null -c safe.bareRepository=explicit \
      ls-files -z -co --exclude-standard 2>/dev/null 9>&- && printf 'end\0'
  )
  ((${#F[@]})) && [[ ${F[-1]} == end ]] && unset 'F[-1]'
}
walk() { # FIND-TEST…: what fits, and version control's own, but for the store and target directories, in F
  local p skip=(-false) own=(-iregex '.*/\(\.git\|\.jj\|\.hg\|\.sl\|\.svn\|\.bzr\|\.pijul\|_darcs\)' -o -name .fslckout)
  own+=(-o -name _FOSSIL_ -o -name CVS -exec test -f '{}/Entries' \;)
  for p in "${!TARGETS[@]}" ${INSIDE:+"$INSIDE"}; do skip+=(-o -path "${p//[\\[*?]/\\&}"); done
  mapfile -d '' -t F < <(
    find -P . -mindepth 1 \( "${skip[@]}" \) -prune -o \( "${own[@]}" \) -prune -print0 -o "$@" -print0 2>/dev/null)
}
is_own() { # PATH: whether it is version control's own
  [[ ${1,,} == */@(.git|.jj|.hg|.sl|.svn|.bzr|.pijul|_darcs) || $1 == */@(.fslckout|_FOSSIL_) || ($1 == */CVS && -f $1/Entries) ]]
}
is_top() { # PATH of a version control system's own: whether it makes its directory the top of a working tree
  local inside=("$1"/*)
  case ${1,,} in
  */.git) [[ -f $1 || -e $1/HEAD ]] ;; */.jj) [[ -e $1/repo ]] ;; */.hg | */.sl) [[ -e $1/requires ]] ;;
  */.svn | */cvs) [[ -e $1/wc.db || ! -e ${1%/*/*}/${1##*/} ]] ;; *) [[ -f $1 || ${inside[*]} ]] ;;
  esac
}
is_others() { # DIR, the top of a working tree: whether it is none of those that the restore point knows
  if [[ $KNOWN ]]; then [[ ! ${THEN["$1"]-} || (${THEN["$1"]} == elsewhere && -d $1/.git) ]] && return || return; fi
  [[ ! ${ENTRY["$1"]-} || -d $1/.git ]] && for R in "${!DIRS[@]}"; do if [[ $R/ == "$1"/* ]]; then return 1; fi; done
}
fits() { # ARRAY PATH: whether a pattern of the settings fits, or something like it: what it fits stays
  local -n globs=$1 && local i base glob rest
  for ((i = 0; i < ${#globs[@]}; i += 3)); do
    base=./${globs[i + 1]}/ glob=${globs[i + 2]%/} base=${base/#.\/\//./}
    rest=${2#"$base"} glob=${glob//\*\*\//*}
    if [[ $glob == *\{* ]]; then glob=${glob//\{/@(} glob=${glob//\}/)} glob=${glob//,/|}; fi
    if [[ $2 == "$base"* && ($rest == $glob || $rest == $glob/*) ]]; then return; fi
  done && false
}
built() { # PATH: whether it lies in a target directory, or where cargo or version control keeps its own state
  local p=$1
  until is_own "$p" || [[ ${TARGETS["$p"]-} || -e $p/CACHEDIR.TAG || ($p == */target && -e ${p%/*}/Cargo.toml) ||
    ($p != */.cargo && (-f $p/.package-cache || -f $p/.global-cache)) ||
    ($p == */.cargo/* && ${p%/*} == */.cargo && (-d $p || ${p##*/} != @(config*|*.toml) || ${p##*/} == @(.*|credentials*))) ]]; do
    [[ $p == */* ]] && p=${p%/*} || return 1
  done
}
leave() { show "${1#./}" && LEFT+=(" leave alone  $R  ($2)"); } # PATH WHY: it stays, and is named
find_additions() {
  local path dir why judged=1 seen=() new=() tops=() wishes=() tests=(-type d -empty)
  local -A born=() known=()
  if [[ $GIT == 1 || -e .git ]] && git_sees .; then seen=("${F[@]/#/./}"); else
    tests=(\( ! -type d -o -empty \)) && if [[ $GIT == 1 ]]; then judged=0; fi
  fi
  walk "${tests[@]}"
  for path in "${F[@]}"; do # What another repository's working tree holds is not ours, whatever stood there then.
    if ! is_own "$path"; then seen+=("$path"); elif is_top "$path" && ! built "${path%/*}"; then tops+=("${path%/*}"); fi
  done
  mapfile -d '' -t tops < <(((${#tops[@]} == 0)) || each "${tops[@]}" | sort -zu)
  for dir in "${tops[@]}"; do
    if [[ $dir == . ]] || under OTHERS_OWN "$dir"; then continue; elif is_others "$dir"; then OTHERS_OWN["$dir"]=1
    elif [[ -e $dir/.git && ${WK["$dir"]-} == directory ]]; then
      git_sees "$dir" && seen+=("${F[@]/#/"$dir/"}") || leave "$dir" 'git does not work there, so it cannot be judged'
    fi
  done
  for path in "${WISHES[@]}"; do
    if ! under OTHERS_OWN "$path"; then wishes+=("$path") && continue; fi
    [[ -z ${RI["$path"]-} ]] || in_the_way "$path" "is in another repository's working tree since a rollback was interrupted"
    CODE=1 WK["$path"]=''
  done; WISHES=("${wishes[@]}")
  for dir in "${!OTHERS_OWN[@]}"; do
    if [[ ${ENTRY["$dir"]-} ]] || under DIRS "$dir"; then leave "$dir" "it is another repository's working tree"; fi
  done
  mapfile -d '' -t F < <(cd -- "$ROLLBACK/displaced_$OPEN/files" 2>/dev/null && find . -mindepth 2 -name Cargo.toml -print0)
  for path in "${F[@]%/*}"; do [[ ${PLAIN["$path"]-}${ENTRY["$path"]-} ]] || born["$path"]=1; done # Displaced by now.
  for path in "${seen[@]}"; do
    dir=${path%/*} && [[ -z ${ENTRY["${path%/}"]-}${known["$path"]-} && ! ($INSIDE && $path/ == "$INSIDE"/*) ]] && there "$path" &&
      ! built "$path" && ! under OTHERS_OWN "${path%/}" && known["$path"]=1 && new+=("$path") || continue
    if [[ $path == ./*/Cargo.toml && -z ${PLAIN["$dir"]-}${ENTRY["$dir"]-} ]]; then born["$dir"]=1; fi
  done
  for path in "${new[@]}"; do
    dir=${path%/*} why=''
    [[ ($dir == . && ! -d $path) || ($path == */Cargo.toml && ${PLAIN["$dir"]-}) ]] || under DIRS "$path" || under born "$path" ||
      { fits INCLUDED "$path" && CODE=1 why='an `include` of the settings may bring it in'; } || continue
    if under IGNORED "$path"; then why='git ignored it then'
    elif fits EXCLUDED "$path"; then why='the settings excluded it'
    elif under FOREIGN "$path"; then why='it belongs to a package that was not protected'
    elif [[ $path == */ ]]; then why="it is another repository's working tree"
    elif ((!judged)); then why='git does not work here, so it cannot be judged'
    elif [[ -d $path && ! -L $path ]]; then [[ $CUT && ! $MINE ]] || why='it is an empty directory' # Not what is left.
    elif [[ ! -f $path && ! -L $path ]]; then why='it is no file'
    fi
    if [[ $why ]]; then leave "$path" "$why"; else wish "$path" none '' '' '' ''; fi
  done
  for path in "${WISHES[@]}"; do # The directories above what goes may go too, if nothing else is in them.
    dir=${path%/*} && while [[ ${WK["$path"]} == none && $dir != . && -z ${WK["$dir"]-}${PLAIN["$dir"]-} ]]; do
      wish "$dir" none '' '' '' '' && dir=${dir%/*}
    done
  done
}
# ---- What is asked for, and what an earlier run left
read -r STATE 2>/dev/null <"$STORE/state" || STATE=${STATE:-idle}
JOURNAL=$ROLLBACK/journal OPEN=${STATE#rollback } MINE='' ID='' CUT='' PURPOSE=rollback && [[ $OPEN =~ $ID_LIKE ]] || OPEN=''
if [[ $OPEN ]] && read_sealed "$ROLLBACK/displaced_$OPEN.list" backstop-displaced 1 && ! there "$ROLLBACK/rollback_$OPEN.journal"; then
  MINE=$OPEN CUT=1
elif there "$JOURNAL"; then
  CUT=1 && show "$STORE/scripts/backstop"
  [[ $FORCE && -z $UNDO ]] || stop 4 'a rollback of scripts/backstop was interrupted' "$R rollback --resume | --abort
      or, always safe: the rollback with -f; it keeps all that it moves"
fi
find_list() { # the list of the restore point that TARGET means. `latest` is the newest that a person asked for.
  local name id found=() best='' code=3
  for name in "$STORE"/metadata/*_backup_????????_??????.json "$ROLLBACK"/*_backup_????????_??????.list; do
    R=$name name=${name##*/} name=${name%.*} id=${name##*_backup_}
    [[ $R == *.json || (! -e $STORE/metadata/$name.json && -d $STORE/session_$id) ]] || continue
    if [[ $TARGET == "$id" || $TARGET == "$name" ]]; then found=("$name") && break; fi
    if [[ $id == "$TARGET"* || $name == "$TARGET"* ]]; then found+=("$name"); fi
    if [[ $TARGET != latest ]]; then code=2; elif [[ $id > $best && $name != pre_rollback_backup_* ]]; then
      read_sealed "$ROLLBACK/$name.list" backstop-list 2 || damaged "$ROLLBACK/$name.list"
      if [[ ${L[9]} == backup ]]; then best=$id found=("$name"); fi
    fi
  done
  show "$TARGET" && ((${#found[@]} < 2)) || stop 2 "\`$R\` names ${#found[@]} restore points"
  [[ ${found[*]} ]] && R=$ROLLBACK/${found[0]}.list || stop "$code" "no restore point \`$R\`"
}
if [[ $UNDO ]]; then
  PURPOSE=undo TO=$MINE && for R in "$ROLLBACK"/rollback_????????_??????.journal; do R=${R: -23:15} && [[ $MINE ]] || TO=$R; done
  [[ $TO ]] || stop 3 'no rollback was made here, so there is none to undo'
  [[ -f $ROLLBACK/displaced_$TO.list ]] || stop 3 "the last rollback was not a script's; nothing was changed" "$OTHERS"
  for R in "$ROLLBACK"/*_backup_*.list; do if read_sealed "$R" backstop-list 2; then break; fi; done
  [[ ${L[6]-} == root ]] || need 'the list of a restore point, which says where the workspace is'
  enter "${L[7]}" && for ((AT = 12; AT < ${#L[@]}; AT++)); do [[ ${L[AT]}${L[AT + 1]} =~ ^target-directories[0-9]+$ ]] && break; done
  take_targets && read_record "$TO" # An undo has to be newer than the builds that are there, too.
  if [[ $MINE && $KIND == undo ]]; then ID=$MINE TO=$OF && read_record "$TO"; fi
  NAME="the tree before run $TO" && for ((i = 0; i < ${#REC[@]}; i += 11)); do
    path=./${REC[i + 1]} origin='' && if [[ ${REC[i + 2]} == file ]]; then origin=displaced; fi
    [[ ${REC[i + 2]} != special && $origin${REC[i + 5]} != displaced ]] && wish "$path" "${REC[i + 2]}" "${REC[i + 3]}" "${REC[i + 4]}" "${REC[i + 5]}" "$origin" ||
      leave "$path" 'what was there could not be read; it stays in the store'
  done
  REC=() RI=() && if [[ $ID ]]; then read_record "$ID"; fi
  check_paths "${WISHES[@]}" "${!CRATE[@]}" "${!RI[@]}"
else
  find_list && LIST_FILE=$R && read_sealed "$LIST_FILE" backstop-list 2 || damaged "$LIST_FILE"
  enter "${L[7]}" && if [[ $MINE ]]; then ID=$MINE && read_record "$ID"; fi; read_list "$LIST_FILE"
  if [[ $ID && -z $DRY && $KIND$OF != "rollback$TO" ]]; then # Something else was interrupted: first back to before that.
    printf 'note: run %s was interrupted, and is undone first\n' "$ID" >&2
    exec 9>&- && SELF=$STORE/scripts/${BASH_SOURCE[0]##*/}
    "${BASH:-bash}" -p -- "$SELF" --undo ${FORCE:+-f} || exit
    exec "${BASH:-bash}" -p -- "$SELF" -t "$TARGET" ${FORCE:+-f} ${FROM:+--from "$FROM"}
  fi
  for path in "${!RI[@]}"; do if [[ -z ${WK["$path"]-} ]]; then wish "$path" none '' '' '' ''; fi; done
  check_paths "${WISHES[@]}" "${!CRATE[@]}" && find_additions
fi
# ---- What has to be written, and whether it can be
same() { [[ ${NK["$1"]} == "${WK["$1"]}" && ${NC["$1"]} == "${WC["$1"]}" ]]; } # but for the mode
((${#WISHES[@]} == 0)) || mapfile -d '' -t WISHES < <(each "${WISHES[@]}" | sort -zu)
look "${WISHES[@]}" && NEEDED=()
for ((i = ${#WISHES[@]} - 1; i >= 0; i--)); do
  path=${WISHES[i]} kind=${WK["${WISHES[i]}"]}
  if [[ $kind == file ]] && ! same "$path"; then NEEDED+=("$path"); fi
  [[ ${NK["$path"]} != special ]] || in_the_way "$path" "is no file, and not a rollback's to move"
  if [[ ${NK["$path"]} != directory ]]; then continue; fi
  if [[ $kind == directory ]]; then # One that only leads to protected files keeps its mode.
    if [[ -z $UNDO ]] && ! under DIRS "$path"; then WM["$path"]=${NM["$path"]}; fi
    continue
  fi
  for child in "$path"/*; do # One that goes must hold nothing that stays.
    if [[ ${WK["$child"]-} == none && -z ${STAYS["$child"]-} ]]; then continue; fi
    STAYS["$path"]=1 && [[ $kind == none ]] || in_the_way "$child" "is not a rollback's to move, and something goes there"
  done
done
IFS='' && for glob in "${MEMBERS[@]}"; do # Cargo takes every directory that fits for a member.
  for path in ./${glob%/}; do
    if [[ ! -d $path || ${ENTRY["$path/Cargo.toml"]-}${PLAIN["$path"]-} || ${WK["$path"]-}${STAYS["$path"]-} == none ]] ||
      under FOREIGN "$path" || under IGNORED "$path" || under APART "$path"; then continue; fi
    CODE=1 && leave "$path" 'cargo will take it for a member: move it away'
  done
done && unset IFS
verify() { # DIR ORIGIN PATHS: takes those whose content below DIR is right; the others, in BAD
  local dir=$1 origin=$2 path files=() found=() && BAD=() && shift 2
  for path; do if [[ -f $dir/$path && ! -L $dir/$path ]]; then files+=("$path"); fi; done
  mapfile -d '' -t found < <(cd -- "$dir" 2>/dev/null && on files sha256sum -z -- 2>/dev/null)
  for path in "${found[@]}"; do
    [[ ${path:0:64} != "${WC["${path:66}"]}" ]] || SOURCE["${path:66}"]=$dir/${path:66} WO["${path:66}"]=$origin
  done
  for path; do [[ ${SOURCE["$path"]-} ]] || BAD+=("$path"); done
}
BAD=("${NEEDED[@]}")
if [[ $UNDO ]]; then verify "$ROLLBACK/displaced_$TO/files" displaced "${NEEDED[@]}"
elif [[ $FROM != archive ]]; then verify "$STORE/session_$TO/files" session "${NEEDED[@]}"; fi
if ((${#BAD[@]})) && [[ -z $UNDO && $FROM != session && $ARCHIVE ]]; then
  SCRATCH=$(mktemp -d) || need 'a directory for temporary files'
  gzip -dc -- "$STORE/archives/$ARCHIVE" 2>/dev/null |
    tar -x -C "$SCRATCH" --no-same-owner --null --no-unquote -T <(each "${BAD[@]/#.\//files/}") 2>/dev/null
  verify "$SCRATCH/files" archive "${BAD[@]}"
fi
if ((${#BAD[@]})); then
  show "${BAD[0]#./}" && R="$R and $((${#BAD[@]} - 1)) other files"
  [[ -z $UNDO ]] || stop 3 "gone or altered since rollback $TO displaced them: $R; nothing was changed"
  stop 3 "damaged in the store: $R; nothing was changed" \
    'try scripts/backstop, which reads more of a damaged archive; or another restore point'
fi
# ---- The plan as actions, as the journal has them: path, what was there first, the wish, where a file comes from
# What is on record of an interrupted run keeps its number: its journal holds for its stage until the new one is committed.
OLD=("${REC[@]}") REC=() ACTS=() SEEN=() PLAN=() OTHER='' SAME='' NEXT=${#OLD[@]}
for path in "${WISHES[@]}"; do
  if [[ ${STAYS["$path"]-} ]]; then
    leave "$path" 'something else is in it' && [[ ${RI["$path"]-} ]] || continue
    WK["$path"]=directory WM["$path"]=${NM["$path"]}
  fi
  wanted=("${WK["$path"]}" "${WM["$path"]}" "${WZ["$path"]}" "${WC["$path"]}") origin=${WO["$path"]}
  now=("${NK["$path"]}" "${NM["$path"]}" "${NZ["$path"]}" "${NC["$path"]}") first=("${now[@]}") i=${RI["$path"]-}
  if [[ $i ]]; then # Is what stands there what the earlier run under this ID found, or what it made of that?
    old=("${OLD[i + 2]}" "${OLD[i + 3]}" "${OLD[i + 4]}" "${OLD[i + 5]}") made=${OLD[i + 6]}${OLD[i + 9]} kept=$ROLLBACK/displaced_$ID/files/${path#./}
    case ${old[0]} in
    none) [[ ${now[0]}${now[3]} == "$made" ]] ;;
    directory) [[ ${now[0]} == @(none|directory) || ${now[0]}${now[3]} == "$made" ]] ;;
    *) [[ ${old[0]}${old[3]} == "$made" || -L $kept || (-e $kept && ! -d $kept) ]] ;;
    esac && first=("${old[@]}")
    if [[ ${wanted[*]} == "${OLD[i + 6]} ${OLD[i + 7]} ${OLD[i + 8]} ${OLD[i + 9]}" ]]; then origin=${OLD[i + 10]}; fi
  fi
  if [[ ${wanted[*]} == "${now[*]}" && ${wanted[*]} == "${first[*]}" && -z $i ]]; then continue; fi
  case ${first[0]}${first[3]}:${wanted[0]}${wanted[3]} in
  "${wanted[0]}${wanted[3]}:${first[0]}${first[3]}") verb='change mode' origin='' ;;
  none:*) verb=create ;;
  directory:none) verb='remove dir' ;;
  *:none) verb='displace' ;;
  *) verb=replace ;;
  esac
  if [[ $verb != 'change mode' ]]; then OTHER=1; fi # A macro tells nobody what it reads: cargo is to ask all of them.
  if [[ ${wanted[0]} == directory && ${first[0]} != directory ]]; then MADE["$path"]=1; fi
  ACTS+=("$path") SEEN+=("${now[*]}") ACTED["$path"]=$verb
  if [[ -z $i ]]; then i=$NEXT NEXT=$((NEXT + 11)); fi; NUMBER["$path"]=$((i / 11))
  for R in '' "${path#./}" "${first[@]}" "${wanted[@]}" "$origin"; do REC[i++]=$R; done
  show "${path#./}" && printf -v R '%12s  %s' "$verb" "$R" && PLAN+=("$R")
done
# ---- What stands in the way of that
for path in "${ACTS[@]}"; do
  dir=${path%/*} && mount_of "$WS/${path#./}" && [[ $R == "$HOME_MOUNT" ]] || in_the_way "$path" 'is a mount point, or lies behind one'
  if [[ ${NK["$path"]} == @(file|directory) ]]; then HELD["$path"]=1; fi
  if [[ ${NK["$dir"]-directory} == directory && -d $dir ]]; then
    HELD["$dir"]=1 && [[ -w $dir ]] || { show "$dir" && need "the right to write to directory $R"; }
    [[ ! -k $dir || $EUID == 0 || -O $dir || -O $path || ${NK["$path"]} == none ]] || in_the_way "$path" 'is for its owner to move'
  fi
  [[ ${ACTED["$path"]} != 'change mode' || $EUID == 0 || -O $path ]] || { show "$path" && need "to own $R, to change its mode"; }
  while [[ $dir == */* ]]; do # Nothing is written through a link.
    show "$dir" && [[ ! -d $dir || -x $dir ]] || need "the right to enter directory $R"
    [[ ${NK["$dir"]-} || ! -L $dir ]] && dir=${dir%/*} || stop 3 "$R leads through a link; nothing was changed"
  done
done
dirs=("${!HELD[@]}") && mapfile -t F < <(command -v lsattr >/dev/null && on dirs lsattr -d -- 2>/dev/null)
for R in "${F[@]}"; do [[ ! $R =~ ^[-A-Za-z]{16,}" ." || ${R%% *} != *[ai]* ]] || in_the_way "${R#* }" 'is immutable or append-only (see `lsattr`)'; done
# ---- Showing it, and asking
show "$WS" && printf '%12s  %s\n' Workspace "$R" 'Back to' "$NAME"
printf '%s' "${PLAN[@]/%/$'\n'}" "${LEFT[@]/%/$'\n'}"
if [[ -z $CUT && ${#ACTS[@]} == 0 ]]; then
  [[ $STATE == idle || $DRY ]] || printf 'idle\n' >"$STORE/state"
  printf 'Nothing to do.\n' && exit "$CODE"
fi
if [[ $DRY ]]; then printf 'Dry run: nothing was changed.\n' && exit "$CODE"; fi
if [[ -z $FORCE ]]; then
  [[ -t 0 ]] || stop 3 'stdin is not a terminal; nothing was changed' 'if the plan is right, add -f'
  read -r -p 'Do this? [y/N] ' R && [[ ${R,,} == @(y|yes) ]] || stop 3 'not confirmed; nothing was changed'
fi
# ---- Writing down what is about to be done, before anything changes
put() { # FILE COMMAND…: the file replaced whole by what the command writes, and synced
  local file=$1 part=${1%/*}/.${1##*/}.new
  shift && "$@" >"$part" && sync -- "$part" && mv -fT -- "$part" "$file" && sync -- "${file%/*}" ||
    stop 3 "failed to write ${file##*/}"
}
intent() { # MAGIC [committed]: the fields of the record and of the journal, with their seal
  local path sum all=("$1" 1 "$ID" "$PURPOSE" "$TO" '' "$CREATED" roots 1 '' "$ROOTS_PATH" unlock 0 touch "${#TOUCH[@]}")
  for path in "${TOUCH[@]}"; do all+=('' "${path#./}"); done
  all+=(actions "${#ACTS[@]}" "${REC[@]}")
  sum=$(each "${all[@]}" | sha256sum) && each "${all[@]}" end "${sum%% *}" ${2:+"$2"}
}
if [[ $ID && "${OLD[*]}" == "${REC[*]}" ]]; then SAME=1; else
  CREATED=$(date -u +%Y-%m-%dT%H:%M:%SZ) TOUCH=()
  for path in "${!CRATE[@]}"; do
    if under OTHERS_OWN "$path"; then continue; fi
    if [[ $OTHER$CUT$UNDO && -f $path && ! -L $path && ${ACTED["$path"]-change mode} == 'change mode' ]]; then TOUCH+=("$path"); fi
  done
fi
if [[ $ID ]]; then STEP=changing; else
  newest='' ID=$(date -u +%Y%m%d_%H%M%S) R=$(cat -- "$STORE/store.json" 2>/dev/null)
  names=("$STORE"/session_* "$ROLLBACK"/* "$STORE"/metadata/* "$STORE"/trash/*)
  for R in "${R##*\"last_id\":}" "${names[@]##*/}"; do
    if [[ $R =~ [0-9]{8}_[0-9]{6} && ${BASH_REMATCH[0]} > $newest ]]; then newest=${BASH_REMATCH[0]}; fi
  done
  R="${newest:0:4}-${newest:4:2}-${newest:6:2} ${newest:9:2}:${newest:11:2}:${newest:13:2} 1 second"
  [[ $ID > $newest ]] || ID=$(date -u -d "$R" +%Y%m%d_%H%M%S) || need 'ids that are times'
  STEP=begun
fi
RECORD=$ROLLBACK/displaced_$ID.list STAGE=$ROLLBACK/stage_$ID KEPT=$ROLLBACK/displaced_$ID
[[ $SAME ]] || put "$RECORD" intent backstop-displaced
[[ $STATE == "rollback $ID" ]] || put "$STORE/state" printf 'rollback %s\n' "$ID"
there "$JOURNAL" || { OURS=1 && put "$JOURNAL" intent backstop-journal; }
# ---- Staging: every new file is written to stage_ID/INDEX, verified and synced
grouped() { # VALUE PATH…: the COMMAND, once for all paths that follow one another with the same value
  local value=${1-} group=()
  while (($#)); do
    if [[ $1 != "$value" ]]; then on group "${COMMAND[@]}" "$value" -- && group=() || return 1; fi
    value=$1 && group+=("$2") && shift 2
  done
  on group "${COMMAND[@]}" "$value" --
}
owner_of() { # PATH NEW: who is to own what is put at a path: the owner of what stands there, else of its directory
  local p=$1 && ((EUID == 0)) || return 0
  if [[ ${WK["$p"]} == directory || ${NK["$p"]} == @(none|directory) ]]; then p=${p%/*}; fi
  until [[ ${NO["$p"]-} && -z ${MADE["$p"]-} ]]; do
    if [[ -z ${NK["$p"]-} && -d $p ]]; then NO["$p"]=$(stat -c %u:%g -- "$p"); else p=${p%/*}; fi
  done
  owners+=("${NO["$p"]}" "$2")
}
NEW=$STAGE/new copies=() sums=() staged=() owners=() modes=() places=()
rm -rf -- "$NEW" && mkdir -p -- "$NEW" || stop 3 'failed to make the stage'
for i in "${!ACTS[@]}"; do
  path=${ACTS[i]} && [[ ${WK["$path"]} == @(file|symlink) ]] && ! same "$path" || continue
  i=${NUMBER["$path"]} && places+=("$STAGE/$i" "$path") && ! there "$STAGE/$i" || continue
  owner_of "$path" "$NEW/$i"
  if [[ ${WK["$path"]} == symlink ]]; then ln -sT -- "${WC["$path"]}" "$NEW/$i" && continue || stop 3 'failed to stage a link'; fi
  staged+=("$NEW/$i") sums+=("${WC["$path"]}") modes+=("${WM["$path"]}" "$NEW/$i")
  # What is short and holds no NUL is written without a process of its own.
  if ((${#WZ["$path"]} < 6)) && ! IFS= read -r -d '' R <"${SOURCE["$path"]}"; then printf %s "$R" >"$NEW/$i" && continue; fi
  copies+=("${SOURCE["$path"]}" "$NEW/$i")
done
on copies -n 2 -P 2 cp --sparse=always -T -- || stop 3 'failed to stage the files'
mapfile -d '' -t found < <(on staged sha256sum -z --)
for i in "${!staged[@]}"; do [[ ${found[i]} == "${sums[i]}  ${staged[i]}" ]] || stop 3 'a file was damaged while it was copied'; done
COMMAND=(chown -h) && grouped "${owners[@]}" && COMMAND=(chmod) && grouped "${modes[@]}" && sync -f -- "$STORE" &&
  staged=("$NEW"/*) && on staged mv -n -t "$STAGE" -- && rmdir -- "$NEW" && sync -f -- "$STORE" ||
  stop 3 'failed to stage the files'
look "${ACTS[@]}"
for i in "${!ACTS[@]}"; do
  path=${ACTS[i]}
  [[ "${NK["$path"]} ${NM["$path"]} ${NZ["$path"]} ${NC["$path"]}" == "${SEEN[i]}" ]] || { show "$path" &&
    stop 3 "$R changed since the plan was made; nothing was changed" 'stop what writes to the workspace (an editor, a build), then try again'; }
done
for i in 1 2 3; do IFS= read -r -d '' R; done <"$JOURNAL" # Only its ID is looked at: what another began is filed away.
[[ $R == "$ID" ]] || put "$ROLLBACK/rollback_${OPEN:-$ID}.superseded" cat -- "$JOURNAL"
put "$JOURNAL" intent backstop-journal committed
# ---- Moving: the old out to displaced_ID/, the new into place, and never over something
STEP=changing out=() moves=() gone=() made=() again=() owners=()
for ((i = ${#ACTS[@]} - 1; i >= 0; i--)); do # The deepest first.
  path=${ACTS[i]} stands=${NK["${ACTS[i]}"]} kind=${WK["${ACTS[i]}"]}
  if [[ $stands != @(none|directory) ]] && ! same "$path"; then
    for ((n = 0; ; n++)); do # Not where something is kept already, nor below a file or link that is kept.
      base=$KEPT/edited_since${n#1}/files p=$path && if ((n == 0)); then base=$KEPT/files; fi
      until [[ $p == . || -L $base/$p || (-e $base/$p && ! -d $base/$p) ]]; do p=${p%/*}; done
      if [[ $p == . && ! -e $base/$path ]]; then break; fi
    done
    p=$base/${path#./} && out+=("${p%/*}" "$path") moves+=("$path" "$p") && parents["${p%/*}"]=1
  fi
  if [[ $stands:$kind == directory:@(none|file|symlink) ]]; then gone+=("$path"); fi
  if [[ ${MADE["$path"]-} || ($kind == directory && $stands != directory) ]]; then made+=("$path") && owner_of "$path" "$path"; fi
  if [[ $kind == directory ]] || { [[ $kind == file ]] && same "$path"; }; then again+=("${WM["$path"]}" "$path"); fi
done
moved() { # FROM TO…: `mv -n` does not say that it left something where it was
  while (($#)); do show "$1" && ! there "$1" && there "$2" && shift 2 || stop 3 "failed to move $R: something is in the way"; done
}
dirs=("${!parents[@]}") && on dirs mkdir -p -- && COMMAND=(mv -n -t) && grouped "${out[@]}" || stop 3 'failed to move files out'
moved "${moves[@]}"
on gone rmdir -- || stop 3 'failed to remove directories'
on made mkdir -p -- && COMMAND=(chown -h) && grouped "${owners[@]}" || stop 3 'failed to make directories'
on places -n 2 -P 2 mv -nT -- || stop 3 'failed to put files in place'
moved "${places[@]}"
COMMAND=(chmod) && grouped "${again[@]}" || stop 3 'failed to change modes'
# ---- The next build has to see it: the present as time, or a second after the newest build if that is ahead
for ((i = 0; i < ${#REC[@]}; i += 11)); do
  if [[ ${REC[i + 6]} == file && ${REC[i + 2]}${REC[i + 5]} != "file${REC[i + 9]}" ]]; then TOUCH+=("./${REC[i + 1]}"); fi
done
TIME=$(date +%s.%N) dirs=() files=() WRONG=()
for path in "${!TARGETS[@]}"; do path=${path/#.\/\///} && if [[ -d $path ]]; then dirs+=("$path"); fi; done
if [[ ${dirs[*]} ]]; then
  R=$(find -L "${dirs[@]}" \( -name deps -o -name incremental -o -name out \) -prune -o \
    \( -name 'dep-*' -o -name output -o -name stdout \) -printf '%T@\n' 2>/dev/null | sort -g | tail -n 1)
  R=${R:-0} && if ((${R%.*} >= ${TIME%.*})); then TIME=$((${R%.*} + 1)); fi
fi
for path in "${TOUCH[@]}"; do if [[ -f $path && ! -L $path ]]; then files+=("$path"); fi; done
on files touch -ch -- 2>/dev/null; on files touch -ch -d "@$TIME" -- 2>/dev/null # Others' files: the present alone.
sync -f . "$STORE" || stop 3 'failed to sync'
R=$(on files stat -c %Y -- | sort -n | head -n 1)
((${R:-${TIME%.*}} >= ${TIME%.*})) || WRONG+=('times of files: `cargo clean` before the next build')
# ---- Reading back, and closing
look "${ACTS[@]}"
for path in "${ACTS[@]}"; do
  if ! same "$path" || [[ ${NM["$path"]} != "${WM["$path"]}" ]]; then show "$path" && WRONG+=("$R"); fi
done
mv -fT -- "$JOURNAL" "$ROLLBACK/rollback_$ID.journal" && sync -- "$ROLLBACK" || stop 3 'failed to close the journal'
put "$STORE/state" printf 'idle\n'
rm -rf -- "$ROLLBACK"/stage_* "$ROLLBACK"/.displaced_*.new && [[ ! -d $KEPT ]] || find "$KEPT" -depth -type d -exec chmod 500 {} +
R='Rolled back' && if [[ $UNDO ]]; then R=Undone; fi
printf '%s: %s changes, read back and right: %s\n' "$R" "${#ACTS[@]}" "$((${#ACTS[@]} - ${#WRONG[@]}))"
show "$KEPT" && printf 'Displaced to: %s\n' "$R" && show "$STORE/scripts/rollback.sh" && printf 'Undo this: %s --undo\n' "$R"
if ((${#WRONG[@]})); then CODE=1 && printf 'error: not as it should be: %s\n' "${WRONG[@]}" >&2; fi
exit "$CODE"
