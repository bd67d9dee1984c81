#!/usr/bin/env bash
#
# rollback.sh: brings a workspace back to a restore point, from the store alone.
#
#     backup/scripts/rollback.sh -t latest             shows the plan, then asks
#     backup/scripts/rollback.sh -t latest --dry-run   shows the plan and stops
#     backup/scripts/rollback.sh --undo                undoes the last rollback
#     backup/scripts/rollback.sh --resume | --abort    after one that was cut off
#
# It needs bash 3.2 or later, GNU coreutils, findutils and tar, gzip and flock; no cargo, no executable, no Python. It
# does what the executable's `rollback` does: same plan, same journal, same words, same exit codes. What one began, the
# other finishes, takes back or undoes. The formats are described in FORMAT.md.
#
# What differs:
# - It makes no restore point of the present; what it replaces or removes is moved to rollback/displaced_TS/, as always.
# - It reads rollback/LABEL_backup_TS.conf, and of the manifest the message alone: it does not show where git stood, and
#   a damaged part of an archive hides the files behind it.
# - Somebody who swaps directories for links at the very instant of a step is noticed after every change of directory,
#   but a shell cannot hold a directory open as the executable does: do not run it as root in a directory where somebody
#   hostile writes at the same time.
#
# Exit codes: 0 done; 1 done, and something else changed files meanwhile; 2 wrong command line; 3 could not be done,
# nothing was changed; 4 a rollback was cut off: --resume or --abort; 5 another run holds the store.

# What shellcheck is told, and why: chains of && and || are read as what they are here, steps of which the last tells
# (2015); backticks in text for people are no commands (2016); functions are called by name and by traps (2317); arrays
# are read through their names by find_in and sort_array (2034); words are not commands (2209); a failed `cd` is met by
# what follows, which looks where it stands (2164); a name that is an array in one function is a word in another's
# local (2128, 2178, 2179).
# shellcheck disable=SC2015,SC2016,SC2034,SC2128,SC2164,SC2178,SC2179,SC2209,SC2317

# ---- A clean shell
#
# A function of the environment could stand in for any builtin or tool, and a startup file could run. In POSIX mode
# special builtins come before functions; `bash -p` takes over no function, no startup file and no option.
case ${BASH_VERSION:+bash}:$- in
bash:*p*) ;;
bash:*) POSIXLY_CORRECT=1; exec "$BASH" -p -- "$0" "$@" ;;
*) exec bash -p -- "$0" "$@" ;;
esac
set +o posix
unset BASH_ENV ENV CDPATH GLOBIGNORE POSIXLY_CORRECT TAR_OPTIONS GZIP BLOCKSIZE BLOCK_SIZE TIME_STYLE
shopt -u patsub_replacement 2>/dev/null
set -f
umask 077
export LC_ALL=C IFS=
export -n IFS

# ---- State: what the options say, where things are, what was found

FORCE=0 DRY_RUN=0 KEEP_NEW=0 FROM='' OUTSIDE=0 NO_WAIT=0 VERBOSE=0 QUIET=0 MODE='' WANTED='' GIVEN_STORE='' MANIFEST=''
ONLY=()
# The store, the workspace, a private directory for lists, and where the user stands.
STORE='' WS='' W='' HERE=''
SCRIPT=''
# store.json
ROOT_KNOWN=0 ROOT_TEXT='' LAST_ID='' PENDING=''
# An error that is under way.
E_CODE=3 E_TEXT='' E_HELP='' E_CAUSE=''
E_DETAILS=()
INTERRUPTED=0 LOCKED=0 LOG=''
LOG_LINES=()

# ---- Words

# Text from outside made fit for a terminal: control characters, marks that reorder text and bytes that are not UTF-8
# are escaped. Every function that gives text gives it in R.
show() {
  R=$1
  [[ $R == *[!\ -~]* ]] || return 0
  local text=$1 out='' i c b n point k valid
  for ((i = 0; i < ${#text}; i++)); do
    c=${text:i:1}
    case $c in
    $'\n') out+='\n'; continue ;;
    $'\r') out+='\r'; continue ;;
    $'\t') out+='\t'; continue ;;
    [\ -~]) out+=$c; continue ;;
    esac
    byte "$c"; b=$R n=0
    if ((b >= 0xc2 && b <= 0xdf)); then n=1 point=$((b & 0x1f))
    elif ((b >= 0xe0 && b <= 0xef)); then n=2 point=$((b & 0x0f))
    elif ((b >= 0xf0 && b <= 0xf4)); then n=3 point=$((b & 0x07))
    fi
    valid=$((n > 0 && i + n < ${#text}))
    for ((k = 1; valid && k <= n; k++)); do
      byte "${text:i+k:1}"
      ((valid = R >= 0x80 && R <= 0xbf, point = point << 6 | R & 0x3f))
    done
    # Neither overlong, nor a surrogate, nor beyond the last character.
    if ((n == 2 && (point < 0x800 || point >= 0xd800 && point <= 0xdfff) || n == 3 && (point < 0x10000 || point > 0x10ffff))); then
      valid=0
    fi
    if ((!valid)); then
      printf -v R '\\x%02x' "$b"
      out+=$R
      continue
    fi
    if ((point <= 0x9f || point >= 0x200b && point <= 0x200f || point >= 0x2028 && point <= 0x202e ||
      point >= 0x2060 && point <= 0x2069 || point == 0xfeff)); then
      printf -v R '\\u{%x}' "$point"
      out+=$R
    else
      out+=${text:i:n+1}
    fi
    ((i += n))
  done
  R=$out
}

# The number of a byte.
byte() {
  if [[ $1 == $'\001' ]]; then R=1; return; fi
  if [[ $1 == $'\177' ]]; then R=127; return; fi
  printf -v R %d "'$1"
  ((R >= 0)) || ((R += 256))
}

# How many characters a text has.
width() {
  R=$1
  if [[ $R == *[!\ -~]* ]]; then R=${R//[$'\200'-$'\277']/}; fi
  R=${#R}
}

# Breaks sentences after 80 columns, between words and never inside of backticks; $1 is the column that they begin in.
sentences() {
  local indent=$1 rest=$2$'\n' line out='' first=1 word piece pieces quoted ticks column pad n i words
  printf -v pad "%${indent}s" ''
  while [[ -n $rest ]]; do
    line=${rest%%$'\n'*} rest=${rest#*$'\n'}
    ((first)) || out+=$'\n'
    if [[ $line == ' '* ]]; then out+=$line first=0; continue; fi
    ((first)) || out+=$pad
    first=0 pieces=() n=0 quoted=0
    local IFS=' '
    # shellcheck disable=SC2206 # it is to be split, and names no files: set -f
    words=($line)
    IFS=''
    for ((i = 0; i < ${#words[@]}; i++)); do
      word=${words[i]}
      piece=''
      ((n)) && piece=${pieces[n-1]}
      if ((n)) && { ((quoted)) || [[ $piece == --* && $piece != *' '* && $word == [A-Z]* ]]; }; then
        pieces[n-1]="$piece $word"
      else
        pieces[n]=$word
        ((n += 1))
      fi
      ticks=${word//[!\`]/}
      ((quoted = (quoted + ${#ticks}) % 2))
    done
    column=$indent
    for ((i = 0; i < n; i++)); do
      width "${pieces[i]}"
      if ((column == indent)); then :
      elif ((column + 1 + R > 80)); then
        out+=$'\n'$pad column=$indent
      else
        out+=' '
        ((column += 1))
      fi
      out+=${pieces[i]}
      ((column += R))
    done
  done
  R=$out
}

# A path for a command line that a person copies.
shell_word() {
  local text=$1 out='' i c
  R=$text
  [[ -n $text && $text != *[!A-Za-z0-9/._+=:@%,-]* && $text != -* ]] && return
  if [[ $text == *[!\ -~]* ]]; then
    for ((i = 0; i < ${#text}; i++)); do
      c=${text:i:1}
      case $c in
      \' | \\) out+=\\$c ;;
      [\ -~]) out+=$c ;;
      *) byte "$c"; printf -v R '\\x%02x' "$R"; out+=$R ;;
      esac
    done
    R="\$'$out'"
    return
  fi
  R="'${text//\'/\'\\\'\'}'"
}

# `1 file`, `2 files`
plural() { if [[ $1 == 1 ]]; then R="$1 $2"; else R="$1 $3"; fi; }

report() { ((QUIET)) || printf '%s\n' "$1"; }
note() {
  log "note: $1"
  ((QUIET)) && return
  sentences 6 "$1"
  printf 'note: %s\n' "$R" >&2
}

# Makes an error: exit code, text, remedy. Details and cause are set behind it.
fail() { E_CODE=$1 E_TEXT=$2 E_HELP=${3-} E_CAUSE='' E_DETAILS=(); return 1; }
# An error of a tool, with the end of what it said as cause.
failed() {
  local said=''
  show "$2"
  fail 3 "failed to $1 \`$R\`"
  [[ -s $W/said ]] && IFS= read -r said <"$W/said"
  show "${said##*: }"
  E_CAUSE=$R
  return 1
}
# Something moved since the plan was made.
changed() {
  local n=$# text='1 path has'
  ((n == 1)) || text="$n paths have"
  fail 3 "$text changed since the plan was made" \
    'stop what writes to the workspace (an editor, a build), then roll back again'
  E_DETAILS=("$@")
  return 1
}

print_error() {
  local i
  sentences 7 "$E_TEXT"
  printf 'error: %s\n' "$R" >&2
  for ((i = 0; i < ${#E_DETAILS[@]} && i < 40; i++)); do printf '  %s\n' "${E_DETAILS[i]}" >&2; done
  ((${#E_DETAILS[@]} > 40)) && printf '  … and %d more\n' $((${#E_DETAILS[@]} - 40)) >&2
  [[ -n $E_CAUSE ]] && printf '  caused by: %s\n' "$E_CAUSE" >&2
  [[ -n $E_HELP ]] || return 0
  sentences 6 "$E_HELP"
  printf 'help: %s\n' "$R" >&2
}
die() { print_error; exit "$E_CODE"; }

# ---- The end, and signals

clean_up() {
  local code=$?
  flush_log
  builtin cd / || :
  [[ -n $W ]] && rm -rf -- "$W"
  exit "$code"
}
# Ctrl-C before anything is locked, or at the question: nothing was changed.
on_signal() {
  INTERRUPTED=1
  ((LOCKED)) || { stopped; die; }
}
stopped() { fail 3 'stopped on request; nothing was changed'; }
# Gives an error where somebody asked to stop.
not_stopped() { ((!INTERRUPTED)) || stopped; }

# ---- Tools

# Which version each has, decides nothing; whose it is does.
need_tools() {
  local tool said
  for tool in cat chmod chown comm cp cut date find flock gzip head mkdir mktemp mv readlink rm rmdir sha256sum sort stat \
    sync tail tar touch tr xargs; do
    said=''
    if command -v "$tool" >/dev/null; then
      case $tool in
      flock | gzip) continue ;;
      *) said=$("$tool" --version 2>/dev/null </dev/null) ;;
      esac
      case $said in *oreutils* | *findutils* | *'GNU tar'*) continue ;; esac
    fi
    fail 3 "\`$tool\` is missing here, or is not GNU's; nothing was changed" \
      "run scripts/backstop or scripts/rollback.py instead; this script needs GNU coreutils, findutils and tar, gzip and flock"
    die
  done
}

now_ns() { R=$(date +%s%N); }
instant() { R=$(date -u +%Y-%m-%dT%H:%M:%S.%NZ); }

# ---- The log

log() { LOG_LINES[${#LOG_LINES[@]}]=$1; }
flush_log() {
  [[ -n $LOG && ${#LOG_LINES[@]} -gt 0 ]] || return 0
  local time line printed=()
  instant; time=$R
  for line in "${LOG_LINES[@]}"; do
    show "$line"
    printed[${#printed[@]}]="$time $R"
  done
  LOG_LINES=()
  printf '%s\n' "${printed[@]}" 2>/dev/null >>"$LOG" || LOG=''
}
open_log() {
  LOG=$STORE/logs/rollback_$1.log
  { : >>"$LOG"; } 2>/dev/null && return
  show "$LOG"
  LOG=''
  note "no log is written: $R"
}
phase() { log "phase: $1 $2 ($3)"; flush_log; }

# ---- Small values

is_digest() { [[ ${#1} == 64 && $1 != *[!0-9a-f]* ]]; }
is_count() { [[ -n $1 && ${#1} -le 15 && $1 != *[!0-9]* && ($1 == 0 || $1 != 0*) ]]; }
is_mode() { [[ $1 == [0-7][0-7][0-7][0-7] ]]; }
# An id is a UTC second that exists.
is_id() {
  [[ $1 == [0-9][0-9][0-9][0-9][01][0-9][0-3][0-9]_[0-2][0-9][0-5][0-9][0-5][0-9] ]] || return 1
  local y=$((10#${1:0:4})) m=$((10#${1:4:2})) d=$((10#${1:6:2})) h=$((10#${1:9:2})) days=31
  case $m in
  4 | 6 | 9 | 11) days=30 ;;
  2) days=28; ((y % 4 == 0 && (y % 100 != 0 || y % 400 == 0))) && days=29 ;;
  esac
  ((m >= 1 && m <= 12 && d >= 1 && d <= days && h <= 23))
}
is_label() { [[ -n $1 && ${#1} -le 64 && $1 != *[!A-Za-z0-9._-]* && $1 != [.-]* ]]; }
# A relative path that stays below its root and leads into no version control directory.
is_path() {
  case /$1/ in
  // | *//* | */./* | */../*) return 1 ;;
  */.[gG][iI][tT]/* | */.[jJ][jJ]/* | */.[hH][gG]/*) return 1 ;;
  esac
}
is_root_name() { [[ -z $1 ]] || { [[ $1 != */* ]] && is_path "$1"; }; }
# Whether $1 is $2 or lies below it; an empty $2 is the root itself.
is_in() { [[ -z $2 || $1 == "$2" || ${1:0:${#2}+1} == "$2/" ]]; }
shown() { show "${1:+$1:}$2"; }

# Undoes the escapes of a path's text form: `\\` and `\xHH`.
unescape() {
  local text=$1 out='' hex
  while [[ $text == *\\* ]]; do
    out+=${text%%\\*} text=${text#*\\}
    case $text in
    \\*) out+=\\ text=${text:1} ;;
    x[0-9a-fA-F][0-9a-fA-F]*)
      hex=${text:1:2} text=${text:3}
      [[ $hex == 00 ]] && return 1
      # shellcheck disable=SC2059 # two hexadecimal digits, looked at above
      printf -v hex "\\x$hex"
      out+=$hex
      ;;
    *) return 1 ;;
    esac
  done
  R=$out$text
}

# Undoes those of a JSON string, as far as they are written there.
unescape_json() {
  local text=$1 out='' hex
  [[ $text == *'"'* && $text != *'\"'* ]] && return 1
  while [[ $text == *\\* ]]; do
    out+=${text%%\\*} text=${text#*\\}
    case $text in
    [\"\\/]*) out+=${text:0:1} text=${text:1} ;;
    n*) out+=$'\n' text=${text:1} ;;
    r*) out+=$'\r' text=${text:1} ;;
    t*) out+=$'\t' text=${text:1} ;;
    b*) out+=$'\b' text=${text:1} ;;
    f*) out+=$'\f' text=${text:1} ;;
    u00[01][0-9a-fA-F]*)
      hex=${text:3:2} text=${text:5}
      [[ $hex == 00 ]] && return 1
      # shellcheck disable=SC2059 # two hexadecimal digits, looked at above
      printf -v hex "\\x$hex"
      out+=$hex
      ;;
    *) return 1 ;;
    esac
  done
  R=$out$text
}

# Looks for $2 in the sorted array that $1 names: its place, or the place of the next greater, in R.
find_in() {
  local low=0 high middle element
  eval "high=\${#$1[@]}" # the name is this script's own
  while ((low < high)); do
    middle=$(((low + high) / 2)) element="$1[$(((low + high) / 2))]"
    if [[ ${!element} < $2 ]]; then low=$((middle + 1)); else high=$middle; fi
  done
  R=$low element="$1[$low]"
  [[ ${!element-} == "$2" && -n $2 ]]
}

# Reads NUL-ended names from a file into the array LIST.
read_list() {
  local name n=0
  LIST=()
  while read -r -d '' name; do
    LIST[n]=$name
    ((n += 1))
  done <"$1"
}

# ---- Which store

is_store() { [[ -d $1 ]] && { read_info "$1" || looks_like_store "$1"; }; }
looks_like_store() { [[ -d $1/metadata && -d $1/rollback && -f $1/state ]]; }

# Reads store.json, line by line as it is written. 1 where it is lost or damaged, 2 where it is no store's or newer.
read_info() {
  local line format='' last='' first='' key
  ROOT_KNOWN=0 ROOT_TEXT='' LAST_ID='' PENDING=''
  [[ -f $1/store.json && -r $1/store.json ]] || return 1
  while read -r line || [[ -n $line ]]; do
    [[ -n $first ]] || first=$line
    [[ -n $line ]] && last=$line
    case $line in
    '  "backstop_store": '*) format=${line#*: } format=${format%,} ;;
    '  "root": "'*'",' | '  "root": "'*'"')
      line=${line%,} line=${line#'  "root": "'}
      unescape_json "${line%\"}" && unescape "$R" && [[ -n $R ]] && ROOT_TEXT=$R ROOT_KNOWN=1
      ;;
    '  "last_id": "'* | '  "pending": "'*)
      key=${line%%:*} line=${line#*: \"} line=${line%,} line=${line%\"}
      is_id "$line" || return 1
      if [[ $key == *last_id* ]]; then LAST_ID=$line; else PENDING=$line; fi
      ;;
    esac
  done <"$1/store.json"
  [[ $first == '{' && $last == '}' ]] || return 1
  FORMAT=$format
  is_count "$format" || return 2
  ((format <= 1)) || return 2
  ((ROOT_KNOWN))
}

# The absolute path without links.
canonical() {
  local here=$PWD
  builtin cd -P -- "$1" 2>/dev/null || return 1
  R=$PWD
  builtin cd -- "$here" 2>/dev/null || builtin cd /
}
absolute() { case $1 in /*) R=$1 ;; *) R=$HERE/$1 ;; esac; }

# Resolves `.` and `..` by name.
clean() {
  local rest=$1/ part out=''
  while [[ -n $rest ]]; do
    part=${rest%%/*} rest=${rest#*/}
    case $part in
    '' | .) ;;
    ..) out=${out%/*} ;;
    *) out+=/$part ;;
    esac
  done
  R=${out:-/}
}

# The store directly below a workspace root, whatever it is called.
store_of() {
  local root=$1 dir found=()
  set +f; shopt -s nullglob dotglob
  local all=("$root"/*/)
  shopt -u nullglob dotglob; set -f
  for dir in "${all[@]}"; do
    dir=${dir%/}
    is_store "$dir" || continue
    read_info "$dir"
    if ((ROOT_KNOWN)) && canonical "$dir/$ROOT_TEXT"; then [[ $R -ef $root ]] || continue
    else [[ ${dir##*/} == backup ]] || continue
    fi
    found[${#found[@]}]=$dir
  done
  if ((${#found[@]} > 1)); then
    show "$root"
    fail 2 "\`$R\` has ${#found[@]} stores of restore points" 'say which is meant: --store DIR'
    for dir in "${found[@]}"; do show "$dir"; E_DETAILS[${#E_DETAILS[@]}]=$R; done
    die
  fi
  R=${found[0]-}
  [[ -n $R ]]
}

find_store() {
  local own root='' dir
  own=${0%/*}
  [[ $own == "$0" ]] && own=.
  canonical "$own/.." || R=''
  own=$R
  SCRIPT=$own/scripts/${0##*/}
  if [[ -n $MANIFEST ]]; then
    absolute "$MANIFEST"; root=$R
    [[ -d $root ]] || root=${root%/*}
    [[ -n $root ]] || root=/
  fi
  if [[ -n $GIVEN_STORE ]]; then absolute "$GIVEN_STORE"; dir=$R
  elif [[ -n ${BACKSTOP_STORE-} ]]; then absolute "$BACKSTOP_STORE"; dir=$R
  elif [[ -n $root ]] && store_of "$root"; then dir=$R
  else dir=$own
  fi
  if ! canonical "$dir"; then
    show "$dir"
    if [[ -e $dir ]]; then
      fail 2 "\`$R\` is a file; a store is a directory" "name another place: --store DIR"
    else
      fail 3 "there is no store at \`$R\`" 'name the store: --store DIR, or BACKSTOP_STORE=DIR'
    fi
    die
  fi
  STORE=$R
  read_info "$STORE"
  case $? in
  0) ;;
  2)
    show "$STORE/store.json"
    is_count "$FORMAT" || { fail 3 "\`$R\` is not backstop's"; die; }
    fail 3 "\`$R\` has format $FORMAT; this version reads 1" "use the executable in the store's scripts/, or a newer backstop"
    die
    ;;
  *) looks_like_store "$STORE" || { show "$STORE"; fail 3 "there is no store at \`$R\`" \
    'name the store: --store DIR, or BACKSTOP_STORE=DIR'; die; } ;;
  esac
  if [[ -n $root ]]; then
    canonical "$root" || { show "$root"; fail 3 "failed to find \`$R\`"; die; }
  elif ((!ROOT_KNOWN)); then
    show "$STORE/store.json"
    fail 3 "\`$R\` is damaged or lost, and only it says where the workspace is" \
      'name the workspace with --manifest-path DIR/Cargo.toml; the file need not exist'
    die
  else
    case $ROOT_TEXT in /*) dir=$ROOT_TEXT ;; *) dir=$STORE/$ROOT_TEXT ;; esac
    canonical "$dir" || { show "$dir"; fail 3 "failed to find \`$R\`" \
      'name the workspace with --manifest-path DIR/Cargo.toml; the file need not exist'; die; }
  fi
  WS=$R
}

# The directory of a root: its name and its recorded path.
root_directory() {
  if [[ -z $1 ]]; then R=$WS; return; fi
  unescape "$2" || { fail 3 'the recorded path of a root is malformed'; return 1; }
  case $R in /*) clean "$R" ;; *) clean "$WS/$R" ;; esac
}

is_cut_off() { [[ -e $STORE/rollback/journal ]]; }
cut_off() {
  show "$SCRIPT"
  fail 4 "${1:-a rollback was cut off, and the workspace is between two states}" \
    "finish it, or take it back:"$'\n'"        $R --resume"$'\n'"        $R --abort"
}
refuse_cut_off() { if is_cut_off; then cut_off; return 1; fi; }

lock() {
  local told=0
  trap 'INTERRUPTED=1' INT TERM HUP
  LOCKED=1
  { exec 9<>"$STORE/lock"; } 2>"$W/said" || { failed open "$STORE/lock"; return 1; }
  until flock -n 9; do
    if ((NO_WAIT)); then fail 5 'another run holds the store' 'leave out --no-wait to wait for it'; return 1; fi
    ((told || QUIET)) || printf '%12s waiting for another run that holds the store\n' Blocking >&2
    told=1
    not_stopped || return 1
    flock -w 1 9 && break
  done
}

# ---- Which restore point

C_ID=() C_LABEL=() # sorted by id

catalogue() {
  local file name id label
  set +f; shopt -s nullglob
  local meta=("$STORE"/metadata/*_backup_*.json) archives=("$STORE"/archives/*_backup_*.tar.gz)
  local sessions=("$STORE"/session_*) confs=("$STORE"/rollback/*_backup_*.conf)
  shopt -u nullglob; set -f
  local lines=()
  for file in "${meta[@]}" "${archives[@]}"; do
    name=${file##*/} name=${name%.json} name=${name%.tar.gz}
    id=${name##*_backup_} label=${name%_backup_*}
    is_id "$id" && is_label "$label" || continue
    [[ $id == "$PENDING" && $file != *.json ]] && continue
    lines[${#lines[@]}]="$id $([[ $file == *.json ]] && echo 1 || echo 2) $label"
  done
  for file in "${sessions[@]}"; do
    id=${file##*/session_}
    is_id "$id" && [[ $id != "$PENDING" ]] || continue
    label=unknown
    for name in "${confs[@]}"; do
      name=${name##*/}
      [[ $name == *"_backup_$id.conf" ]] && is_label "${name%_backup_*}" && label=${name%_backup_*}
    done
    lines[${#lines[@]}]="$id 3 $label"
  done
  C_ID=() C_LABEL=()
  ((${#lines[@]})) || return 0
  local last=''
  while IFS=' ' read -r id name label; do
    [[ $id == "$last" ]] && continue
    last=$id C_ID[${#C_ID[@]}]=$id C_LABEL[${#C_LABEL[@]}]=$label
  done < <(printf '%s\n' "${lines[@]}" | sort)
}

# The restore point that is meant, as POINT_ID and POINT_LABEL.
select_point() {
  local n=${#C_ID[@]} i hits=() exact=''
  POINT_ID='' POINT_LABEL=''
  ((n)) || { fail 3 'the store holds no restore point' 'make one: cargo xtask backup'; return 1; }
  if [[ $1 == latest ]]; then
    for ((i = n - 1; i >= 0; i--)); do
      [[ ${C_LABEL[i]} == pre_rollback ]] || { POINT_ID=${C_ID[i]} POINT_LABEL=${C_LABEL[i]}; return 0; }
    done
    fail 3 'the store holds only restore points that rollbacks made' 'name one by its id: see `list`'
    return 1
  fi
  [[ -n $1 ]] || { fail 2 'an empty id names no restore point'; return 1; }
  for ((i = 0; i < n; i++)); do
    if [[ ${C_ID[i]} == "$1"* || ${C_LABEL[i]}_backup_${C_ID[i]} == "$1"* ]]; then
      hits[${#hits[@]}]=$i
      [[ ${C_ID[i]} == "$1" || ${C_LABEL[i]}_backup_${C_ID[i]} == "$1" ]] && exact=$i
    fi
  done
  if ((${#hits[@]} == 0)); then
    local newest=''
    for ((i = n - 1; i >= 0 && i >= n - 3; i--)); do newest+=${newest:+, }${C_ID[i]}; done
    show "$1"
    fail 3 "no restore point \`$R\`" "the newest are $newest; \`list\` shows all"
    return 1
  fi
  if ((${#hits[@]} > 1)) && [[ -z $exact ]]; then
    show "$1"
    fail 2 "\`$R\` names ${#hits[@]} restore points" 'give more of the id'
    for i in "${hits[@]}"; do E_DETAILS[${#E_DETAILS[@]}]=${C_LABEL[i]}_backup_${C_ID[i]}; done
    return 1
  fi
  i=${exact:-${hits[0]}}
  POINT_ID=${C_ID[i]} POINT_LABEL=${C_LABEL[i]}
}

# The next id: the present second, or the one after the newest that was ever given.
next_id() {
  local file id newest=$LAST_ID
  set +f; shopt -s nullglob
  local all=("$STORE"/session_* "$STORE"/metadata/*_backup_*.json "$STORE"/archives/*_backup_*.tar.gz
    "$STORE"/rollback/rollback_*.journal "$STORE"/rollback/displaced_*)
  shopt -u nullglob; set -f
  for file in "${all[@]}"; do
    id=${file##*/} id=${id%.json} id=${id%.tar.gz} id=${id%.journal} id=${id##*_backup_} id=${id#session_}
    id=${id#rollback_} id=${id#displaced_}
    is_id "$id" && [[ $id > $newest ]] && newest=$id
  done
  ID=$(date -u +%Y%m%d_%H%M%S)
  [[ -n $newest && ! $newest < $ID ]] || return 0
  local now=$ID
  ID=$(date -u -d "${newest:0:4}-${newest:4:2}-${newest:6:2} ${newest:9:2}:${newest:11:2}:${newest:13:2} UTC + 1 second" \
    +%Y%m%d_%H%M%S)
  if [[ $(date -u -d "+1 hour" +%Y%m%d_%H%M%S) < $ID ]]; then
    note "the clock says $now, but id $ID follows the newest: the clock was far ahead once, or is behind now"
  fi
}

# ---- NUL-ended fields: the .conf and the journal

# Checks the seal of a file and puts the fields before it into $W/fields; what stands behind it decides COMMITTED.
open_sealed() {
  local file=$1 size behind at seal end field
  COMMITTED=0
  size=$(stat -c %s -- "$file" 2>/dev/null) || return 1
  for behind in 0 10; do
    ((at = size - 69 - behind, at >= 0)) || continue
    seal=$(tail -c $((69 + behind)) -- "$file" | head -c 69 | tr '\0' '\n')
    [[ $seal == end$'\n'* ]] && sealed_at "$file" "$at" "${seal#*$'\n'}" && { finish_sealed "$file" "$at"; return; }
  done
  # A torn mark stands behind the seal: look for it from the start.
  at=0
  # shellcheck disable=SC2094 # it is only read
  while read -r -d '' field; do
    if [[ $field == end ]]; then
      end=$at
      read -r -d '' seal || break
      sealed_at "$file" "$end" "$seal" && { finish_sealed "$file" "$end"; return; }
      ((at += ${#seal} + 1))
    fi
    ((at += ${#field} + 1))
  done <"$file"
  return 1
}
sealed_at() {
  is_digest "$3" || return 1
  local digest
  digest=$(head -c "$2" -- "$1" | sha256sum)
  [[ ${digest:0:64} == "$3" ]]
}
finish_sealed() {
  local tail
  tail=$(tail -c +$(($2 + 70)) -- "$1" | tail -c 10 | tr '\0' '\n'; echo .)
  [[ $tail == committed$'\n'. ]] && COMMITTED=1
  head -c "$2" -- "$1" >"$W/fields"
  # Reading by lines is many times faster than by NUL bytes, and right where no field holds a newline.
  END=''
  if [[ -z $(tr -cd '\n' <"$W/fields" | head -c 1 | tr '\n' x) ]]; then
    END=$'\n'
    tr '\0' '\n' <"$W/fields" >"$W/lines" && mv -f -- "$W/lines" "$W/fields"
  fi
}
next() { read -r -d "$END" V <&3; }
# The name of a list and its length, in N.
next_list() { next && [[ $V == "$1" ]] && next && is_count "$V" && N=$V; }

# What a restore point holds, of rollback/LABEL_backup_TS.conf.
E_ROOT=() E_PATH=() E_KIND=() E_MODE=() E_SIZE=() E_CONT=()

read_conf() {
  local file=$STORE/rollback/${1}_backup_$2.conf
  BACKUP_ID=${1}_backup_$2
  show "$file"
  fail 3 "\`$R\` is damaged or lost, and this script reads nothing else of $BACKUP_ID" \
    'run scripts/backstop or scripts/rollback.py instead, or roll back to another restore point'
  [[ -f $file ]] && open_sealed "$file" || return 1
  exec 3<"$W/fields"
  parse_conf "$1" "$2"
  local result=$?
  exec 3<&-
  ((result == 0)) && sound_conf
}
parse_conf() {
  local i j root path kind mode size content parent n
  next && [[ $V == backstop-conf ]] && next && [[ $V == 1 ]] || return 1
  next && [[ $V == "$BACKUP_ID" ]] && next && [[ $V == "$2" ]] && next && [[ $V == "$1" ]] || return 1
  next && is_digest "$V" || return 1
  ROOT_HASH=$V
  R_NAME=() R_WAY=()
  next_list roots || return 1
  for ((i = 0; i < N; i++)); do
    next && is_root_name "$V" || return 1
    R_NAME[i]=$V
    next || return 1
    R_WAY[i]=$V
  done
  ((N)) && [[ -z ${R_NAME[0]} ]] || return 1
  next_list entries || return 1
  E_ROOT=() E_PATH=() E_KIND=() E_MODE=() E_SIZE=() E_CONT=()
  n=$N
  for ((i = 0; i < n; i++)); do
    { next && root=$V && next && path=$V && next && kind=$V && next && mode=$V && next && size=$V && next &&
      content=$V && next; } || return 1
    is_path "$path" && is_mode "$mode" || return 1
    case $kind in
    file) is_count "$size" && is_digest "$content" || return 1 ;;
    directory) [[ -z $size$content ]] || return 1 ;;
    symlink) [[ -z $size && -n $content ]] || return 1 ;;
    *) return 1 ;;
    esac
    E_ROOT[i]=$root E_PATH[i]=$path E_KIND[i]=$kind E_MODE[i]=$mode E_SIZE[i]=$size E_CONT[i]=$content
  done
  next && [[ $V == scope ]] && next && S_WHOLE=$V && next && [[ $V == [01] ]] || return 1
  S_GIT=$V
  S_DIR_ROOT=() S_DIR=() S_IGN_ROOT=() S_IGN=() S_FOR_ROOT=() S_FOR=() S_UNP=() S_TOP=() S_EXC_ROOT=() S_EXC_BASE=() S_EXC=()
  next_list directories || return 1
  for ((i = 0; i < N; i++)); do next && S_DIR_ROOT[i]=$V && next || return 1; S_DIR[i]=$V; done
  next_list ignored || return 1
  for ((i = 0; i < N; i++)); do next && S_IGN_ROOT[i]=$V && next || return 1; S_IGN[i]=$V; done
  next_list foreign-packages || return 1
  for ((i = 0; i < N; i++)); do next && S_FOR_ROOT[i]=$V && next || return 1; S_FOR[i]=$V; done
  next_list unprotected-directories || return 1
  for ((i = 0; i < N; i++)); do next || return 1; S_UNP[i]=$V; done
  next_list root-entries || return 1
  for ((i = 0; i < N; i++)); do next || return 1; S_TOP[i]=$V; done
  next_list excluded || return 1
  for ((i = 0; i < N; i++)); do
    next && S_EXC_ROOT[i]=$V && next && S_EXC_BASE[i]=$V && next || return 1
    S_EXC[i]=$V
  done
  next_list packages || return 1
  P_ROOT=() P_DIR=() P_FROM=() P_COUNT=() P_CRATE=()
  n=$N
  for ((i = 0; i < n; i++)); do
    next && P_ROOT[i]=$V && next && P_DIR[i]=$V && next && is_count "$V" || return 1
    N=$V P_FROM[i]=${#P_CRATE[@]} P_COUNT[i]=$V
    for ((j = 0; j < N; j++)); do next && is_path "$V" || return 1; P_CRATE[${#P_CRATE[@]}]=$V; done
  done
  ! next
}
# Entries in order and each in a directory that is an entry too, so that no path leads through a file or a link; and
# the root hash is theirs.
sound_conf() {
  local i n=${#E_PATH[@]} fields=() root='' path parent last='' at
  for ((i = 0; i < n; i++)); do
    path=${E_PATH[i]}
    if ((i)) && [[ ${E_ROOT[i]} == "$root" ]]; then [[ $last < $path ]] || return 1
    elif ((i)); then [[ $root < ${E_ROOT[i]} ]] || return 1
    fi
    if [[ ${E_ROOT[i]} != "$root" || $i == 0 ]]; then
      root=${E_ROOT[i]}
      is_root_name "$root" && slice "$root" || return 1
    fi
    last=$path
    fields+=("$root" "$path" "${E_KIND[i]}" "${E_MODE[i]}" "${E_SIZE[i]}" "${E_CONT[i]}")
    [[ $path == */* ]] || continue
    parent=${path%/*}
    [[ ${E_KIND[i-1]-} == directory && ${E_PATH[i-1]} == "$parent" ]] && { at=$parent; continue; }
    [[ $parent == "${at-}" ]] && continue
    find_entry "$parent" && [[ ${E_KIND[R]} == directory ]] || return 1
    at=$parent
  done
  local digest
  if ((n)); then digest=$(printf '%s\0' "${fields[@]}" | sha256sum); else digest=$(printf '' | sha256sum); fi
  [[ ${digest:0:64} == "$ROOT_HASH" ]]
}
# The entries of one root, as LOW and HIGH.
slice() {
  local i n=${#E_PATH[@]}
  LOW=$n HIGH=$n
  for ((i = 0; i < n; i++)); do
    [[ ${E_ROOT[i]} == "$1" ]] || { ((LOW < n)) && { HIGH=$i; break; }; continue; }
    ((LOW < n)) || LOW=$i
  done
  for ((i = 0; i < ${#R_NAME[@]}; i++)); do [[ ${R_NAME[i]} == "$1" ]] && return 0; done
  return 1
}
# The index of an entry of the root that `slice` was told.
find_entry() {
  local low=$LOW high=$HIGH middle
  while ((low < high)); do
    ((middle = (low + high) / 2)) || :
    if [[ ${E_PATH[middle]} < $1 ]]; then low=$((middle + 1)); else high=$middle; fi
  done
  R=$low
  ((low < HIGH)) && [[ ${E_PATH[low]} == "$1" ]]
}

# ---- What stands at paths
#
# `look DIR` looks at every path of LOOK below DIR, follows nothing, and fills T_KIND (`none` where nothing stands),
# T_MODE, T_SIZE, T_CONT (digest, or a link's target), T_IDENT and T_OWNER. One process for each question, not for
# each file.

# Whether a way down from here leads through directories alone: 1 where not, 2 where one may not be searched.
leads() {
  local way=$1/ at=.
  [[ $1 == . ]] && return 0
  way=${way#./}
  while [[ -n $way ]]; do
    at+=/${way%%/*} way=${way#*/}
    [[ ! -L $at && -d $at ]] || return 1
    [[ -r $at && -x $at ]] || { CLOSED=$at; return 2; }
  done
}

look() {
  local dir=$1 i k n=${#LOOK[@]} p last='' alive=0 line
  local there=() index=() files=() fidx=() links=() lidx=()
  T_KIND=() T_MODE=() T_SIZE=() T_CONT=() T_IDENT=() T_OWNER=()
  builtin cd -P -- "$dir" 2>"$W/said" || { failed 'open directory' "$dir"; return 1; }
  for ((i = 0; i < n; i++)); do
    p=./${LOOK[i]} T_KIND[i]=none T_MODE[i]='' T_SIZE[i]='' T_CONT[i]='' T_IDENT[i]='' T_OWNER[i]=''
    if [[ ${p%/*} != "$last" ]]; then
      last=${p%/*}
      leads "$last"
      alive=$?
    fi
    case $alive in
    1) continue ;;
    2)
      : >"$W/said"
      failed read "$dir/${LOOK[i]}"
      E_CAUSE='Permission denied (os error 13)'
      show "$dir/${CLOSED#./}"
      E_HELP="give it back its mode, then try again: \`chmod u+rwx $R\`"
      return 1
      ;;
    esac
    [[ -L $p || -e $p ]] || continue
    there[${#there[@]}]=$p index[${#index[@]}]=$i
  done
  ((${#there[@]})) || return 0
  printf '%s\0' "${there[@]}" | xargs -0 stat --printf '%f %a %s %i %.9Y %u:%g\n' -- >"$W/stat" 2>"$W/said"
  k=0
  local raw perm size inode mtime owner
  while IFS=' ' read -r raw perm size inode mtime owner; do
    i=${index[k]} p=${there[k]}
    ((k += 1))
    perm=0000$perm
    T_IDENT[i]="$inode $size $mtime" T_OWNER[i]=$owner
    case $raw in
    8???) T_KIND[i]=file T_MODE[i]=${perm:${#perm}-4} T_SIZE[i]=$size
      [[ -r $p ]] && { files[${#files[@]}]=$p; fidx[${#fidx[@]}]=$i; } ;;
    4???) T_KIND[i]=directory T_MODE[i]=${perm:${#perm}-4} ;;
    a???) T_KIND[i]=symlink; links[${#links[@]}]=$p; lidx[${#lidx[@]}]=$i ;;
    *) T_KIND[i]=special ;;
    esac
  done <"$W/stat"
  ((k == ${#there[@]})) || { moved_meanwhile "$dir"; return 1; }
  if ((${#links[@]})); then
    printf '%s\0' "${links[@]}" | xargs -0 readlink -z -- >"$W/links"
    k=0
    while read -r -d '' line; do T_CONT[lidx[k]]=$line; ((k += 1)); done <"$W/links"
    ((k == ${#links[@]})) || { moved_meanwhile "$dir"; return 1; }
  fi
  if ((${#files[@]})); then
    printf '%s\0' "${files[@]}" | xargs -0 sha256sum -- >"$W/sums" 2>"$W/said"
    k=0
    while read -r line; do
      line=${line#\\}
      T_CONT[fidx[k]]=${line:0:64}
      ((k += 1))
    done <"$W/sums"
    ((k == ${#files[@]})) || { moved_meanwhile "$dir"; return 1; }
  fi
}
moved_meanwhile() {
  ((INTERRUPTED)) && { stopped; return; }
  failed read "$1"
  E_HELP='stop what writes to the workspace (an editor, a build), then roll back again'
}
# Whether two things have the same kind and content: kind, content, kind, content. The mode may differ.
same_content() {
  [[ $1 == "$3" ]] || return 1
  case $1 in
  file) [[ -n $2 && $2 == "$4" ]] ;;
  directory) ;;
  symlink) [[ $2 == "$4" ]] ;;
  *) return 1 ;;
  esac
}

# ---- Git: asked for what it ignores and tracks, never more; it runs no filter and writes nothing

ask_git() {
  local dir=$1
  shift
  (
    for v in "${!GIT_@}"; do
      case $v in GIT_CONFIG_GLOBAL | GIT_CONFIG_SYSTEM | GIT_CONFIG_NOSYSTEM) ;; *) unset -v "$v" ;; esac
    done
    export GIT_OPTIONAL_LOCKS=0 GIT_TERMINAL_PROMPT=0
    # A missing object is not fetched: the repository names the program that would do it.
    export GIT_NO_LAZY_FETCH=1 GIT_ALLOW_PROTOCOL=none
    builtin cd -P -- "$dir" || exit 1
    exec git -c core.fsmonitor=false -c core.hooksPath=/dev/null -c safe.bareRepository=explicit "$@" 2>/dev/null </dev/null 9>&-
  )
}

# Git's judgement of a directory, prefixed with $2: adds to IGNORED and HOLLOW; G_ANSWER is `none`, `working`,
# `swallowed` or `broken`.
ask_rules() {
  local dir=$1 prefix=$2 above=$1 others line i
  G_ANSWER=none
  while :; do
    [[ -e $above/.git || -L $above/.git ]] && break
    [[ -n $above && $above != / ]] || return 0
    above=${above%/*}
  done
  G_ANSWER=broken
  ask_git "$dir" ls-files -c -z >"$W/tracked" || return 0
  if ! ask_git "$dir" ls-files -t -c -o -i --exclude-standard --directory -z >"$W/judged"; then
    ask_git "$dir" check-ignore -q . && G_ANSWER=swallowed
    return 0
  fi
  G_ANSWER=working
  sort -z <"$W/judged" >"$W/sorted"
  read_list "$W/sorted"
  others=()
  for line in "${LIST[@]}"; do
    case $line in
    '? ./') G_ANSWER=swallowed ;;
    '? '*) others[${#others[@]}]=${line:2} ;;
    esac
  done
  for ((i = 0; i < ${#others[@]}; i++)); do
    line=${others[i]}
    # Sorted, the contents of a directory follow it: then a rule ignores the contents only.
    if [[ $line == */ && ${others[i+1]-} == "$line"* ]]; then HOLLOW[${#HOLLOW[@]}]=$prefix${line%/}
    else IGNORED[${#IGNORED[@]}]=$prefix${line%/}
    fi
  done
}

# ---- What was added

starts_with_tag() {
  local start=''
  [[ -f $1 && ! -L $1 ]] && read -r -n 43 start <"$1" 2>/dev/null
  [[ $start == 'Signature: 8a477f597d28d172789f06886806bc55' ]]
}
holds_store() {
  [[ -f $1/store.json && ! -L $1/store.json ]] && [[ $(head -c 65536 -- "$1/store.json" 2>/dev/null | tr -d '\0') == *'"backstop_store"'* ]]
}

# Walks everything below a root without what is never protected or is ignored: directories level by level, one find
# for each level. Leaves all paths that it met, sorted, in $W/all, and what was not entered in PRUNED.
walk() {
  local dir=$1 d i level=() enter=()
  IGNORED=() HOLLOW=() PRUNED=() UNJUDGED=() CLOSED_DIRS=() TARGETS=()
  ask_rules "$dir" ''
  case $G_ANSWER in
  working) UNJUDGED_ALL=0 ;;
  swallowed)
    UNJUDGED_ALL=$S_GIT
    IGNORED=() HOLLOW=()
    ;;
  none) UNJUDGED_ALL=$S_GIT ;;
  broken) UNJUDGED_ALL=1 ;;
  esac
  sort_array IGNORED
  builtin cd -P -- "$dir" || { failed 'open directory' "$dir"; return 1; }
  : >"$W/met"
  level=(.)
  while ((${#level[@]})); do
    enter=()
    for d in "${level[@]}"; do
      if [[ $d != . ]]; then
        case ${d##*/} in .[gG][iI][tT] | .[jJ][jJ] | .[hH][gG]) continue ;; esac
        if [[ $dir/${d#./} == "$STORE" ]] || holds_store "$d"; then PRUNED[${#PRUNED[@]}]=${d#./}; continue; fi
        if [[ ${d##*/} == target && (-e ${d%/*}/Cargo.toml || -L ${d%/*}/Cargo.toml) ]] || starts_with_tag "$d/CACHEDIR.TAG"; then
          PRUNED[${#PRUNED[@]}]=${d#./} TARGETS[${#TARGETS[@]}]=${d#./}
          continue
        fi
        find_in IGNORED "${d#./}" && continue
        if [[ -e $d/.git || -L $d/.git ]]; then
          ask_rules "$dir/${d#./}" "${d#./}/"
          [[ $G_ANSWER == broken ]] && UNJUDGED[${#UNJUDGED[@]}]=${d#./}
          sort_array IGNORED
        fi
      fi
      if [[ -r $d && -x $d ]]; then enter[${#enter[@]}]=$d; else CLOSED_DIRS[${#CLOSED_DIRS[@]}]=${d#./}; fi
    done
    level=()
    for ((i = 0; i < ${#enter[@]}; i += 500)); do
      find "${enter[@]:i:500}" -mindepth 1 -maxdepth 1 -type d -fprint0 "$W/level" -print0 -o -print0 \
        2>/dev/null >>"$W/met"
      read_list "$W/level"
      level+=("${LIST[@]}")
    done
    not_stopped || return 1
  done
  take_tracked "$dir"
  cut -z -b 3- <"$W/met" | sort -z -u >"$W/all"
}
# What git tracks inside a target directory is found all the same.
take_tracked() {
  local target path parent
  for target in "${TARGETS[@]}"; do
    ask_git "$1" --literal-pathspecs ls-files -c -z -- "$target" >"$W/tracked" 2>/dev/null || continue
    read_list "$W/tracked"
    for path in "${LIST[@]}"; do
      [[ -L ./$path || -e ./$path && ! -d ./$path ]] && leads "./${path%/*}" || continue
      [[ $1/$path == "$STORE"/* ]] && continue
      printf './%s\0' "$path" >>"$W/met"
      parent=${path%/*}
      while [[ $parent != "$target" ]]; do
        printf './%s\0' "$parent" >>"$W/met"
        parent=${parent%/*}
      done
      local i
      for ((i = 0; i < ${#PRUNED[@]}; i++)); do [[ ${PRUNED[i]} == "$target" ]] && PRUNED[i]=''; done
    done
  done
}
sort_array() {
  local element="$1[@]"
  eval "((\${#$1[@]} > 1))" || return 0 # the name is this script's own
  printf '%s\0' "${!element}" | sort -z -u >"$W/sorted"
  read_list "$W/sorted"
  case $1 in
  IGNORED) IGNORED=("${LIST[@]}") ;;
  GOING) GOING=("${LIST[@]}") ;;
  esac
}

# Whether one of the settings' patterns matches a path or a directory above it.
is_excluded() {
  local root=$1 path=$2 i glob rest end
  for ((i = 0; i < ${#S_EXC[@]}; i++)); do
    [[ ${S_EXC_ROOT[i]} == "$root" ]] || continue
    rest=$path
    if [[ -n ${S_EXC_BASE[i]} ]]; then
      [[ $path == "${S_EXC_BASE[i]}"/* ]] || continue
      rest=${path:${#S_EXC_BASE[i]}+1}
    fi
    glob=${S_EXC[i]}
    while [[ $glob == */ ]]; do glob=${glob%/}; done
    expression "$glob"
    glob=$R end=$rest
    while :; do
      [[ $end =~ $glob ]] && return 0
      [[ $end == */* ]] || break
      end=${end%/*}
    done
  done
  return 1
}
# A pattern of the settings as a regular expression: `*`, `**`, `?`, `[…]`, `{…}` and `\`.
expression() {
  local glob=$1 out='^' i c depth=0 class
  for ((i = 0; i < ${#glob}; i++)); do
    c=${glob:i:1}
    case $c in
    '*')
      if [[ ${glob:i:3} == '**/' && ($i == 0 || ${glob:i-1:1} == [/\{,]) ]]; then out+='(.*/)?'; ((i += 2))
      elif [[ ${glob:i:2} == '**' && ($i == 0 || ${glob:i-1:1} == [/\{,]) && (${#glob} == $((i + 2)) || ${glob:i+2:1} == [\},]) ]]; then
        out+='.*'; ((i += 1))
      else
        out+='[^/]*'
        while [[ ${glob:i+1:1} == '*' ]]; do ((i += 1)); done
      fi
      ;;
    '?') out+='[^/]' ;;
    \{) out+='('; ((depth += 1)) ;;
    \}) if ((depth)); then out+=')'; ((depth -= 1)); else out+='[}]'; fi ;;
    ,) if ((depth)); then out+='|'; else out+=,; fi ;;
    '[')
      class=''
      ((i += 1))
      [[ ${glob:i:1} == [!^] ]] && { class='^/'; ((i += 1)); }
      while ((i < ${#glob})) && [[ ${glob:i:1} != ']' ]]; do
        [[ ${glob:i:1} == \\ ]] && ((i += 1))
        class+=${glob:i:1}
        ((i += 1))
      done
      out+="[$class]"
      ;;
    \\) ((i += 1)); c=${glob:i:1}; case $c in [A-Za-z0-9/_]) out+=$c ;; *) out+="[$c]" ;; esac ;;
    [.+^$\(\)\|]) out+="\\$c" ;;
    *) out+=$c ;;
    esac
  done
  R=$out'$'
}

in_places() { # PATH and the places of one kind: directories, ignored, foreign
  local i
  case $2 in
  directories) for ((i = 0; i < ${#S_DIR[@]}; i++)); do [[ ${S_DIR_ROOT[i]} == "$ROOT" ]] && is_in "$1" "${S_DIR[i]}" && return 0; done ;;
  ignored) for ((i = 0; i < ${#S_IGN[@]}; i++)); do [[ ${S_IGN_ROOT[i]} == "$ROOT" ]] && is_in "$1" "${S_IGN[i]}" && return 0; done ;;
  foreign) for ((i = 0; i < ${#S_FOR[@]}; i++)); do
    [[ ${S_FOR_ROOT[i]} == "$ROOT" && -n ${S_FOR[i]} ]] && is_in "$1" "${S_FOR[i]}" && return 0
  done ;;
  esac
  return 1
}
existed_then() {
  local p
  for p in "${S_UNP[@]}" "${S_TOP[@]}"; do [[ $p == "$1" ]] && return 0; done
  return 1
}
holds_path() {
  local b
  in_places "$1" directories && return 0
  for b in "${BORN[@]}"; do is_in "$1" "$b" && return 0; done
  for b in "${BORN[@]}"; do is_in "$b" "$1" && { existed_then "$1" || return 0; }; done
  return 1
}

# What stands below a root in the scope and not in the restore point: MOVABLE, LEFT with LEFT_WHY, and STAYING.
additions() {
  local dir=$1 path i why kind found=() kinds=() state hollow h p
  MOVABLE=() LEFT=() LEFT_WHY=() STAYING=() BORN=()
  walk "$dir" || return 1
  printf '' >"$W/known"
  ((HIGH > LOW)) && printf '%s\0' "${E_PATH[@]:LOW:HIGH-LOW}" >"$W/known"
  comm -z -23 "$W/all" "$W/known" >"$W/new"
  builtin cd -P -- "$dir" || return 1
  local met=()
  if ((${#HOLLOW[@]})); then read_list "$W/all"; met=("${LIST[@]}"); fi
  # A directory whose whole content is ignored comes and goes with it: a cache of some tool.
  hollow=()
  for h in "${HOLLOW[@]}"; do
    state=empty
    for p in "${met[@]}"; do
      [[ $p == "$h"/* ]] || continue
      find_in IGNORED "$p" && continue
      [[ -d ./$p && ! -L ./$p ]] || { state=full; break; }
    done
    [[ $state == empty ]] && hollow[${#hollow[@]}]=$h
  done
  read_list "$W/new"
  local new=("${LIST[@]}")
  for path in "${new[@]}"; do
    kind=other
    if [[ -L ./$path ]]; then kind=link
    elif [[ -d ./$path ]]; then kind=directory
    elif [[ -f ./$path ]]; then kind=file
    elif [[ ! -e ./$path ]]; then continue
    fi
    state=found
    case ${path##*/} in .[gG][iI][tT] | .[jJ][jJ] | .[hH][gG]) state=pruned ;; esac
    for p in "${PRUNED[@]}"; do [[ $p == "$path" ]] && state=pruned; done
    [[ $state == found ]] && find_in IGNORED "$path" && state=ignored
    if [[ $state == found && $kind == directory ]]; then
      for h in "${hollow[@]}"; do is_in "$path" "$h" && state=gone; done
    fi
    [[ $state == gone ]] && continue
    found[${#found[@]}]=$path kinds[${#kinds[@]}]=$state:$kind
    if [[ $state == found && ${path##*/} == Cargo.toml && $path == */* ]]; then
      p=${path%/*}
      if ! find_entry "$p" && ! { [[ -z $ROOT ]] && existed_then "$p"; } && ! in_places "$p" directories &&
        ! in_places "$p" ignored; then
        BORN[${#BORN[@]}]=$p
      fi
    fi
  done
  for ((i = 0; i < ${#found[@]}; i++)); do
    path=${found[i]} state=${kinds[i]%%:*} kind=${kinds[i]#*:} why=''
    if [[ $state == pruned ]]; then STAYING[${#STAYING[@]}]=$path; continue; fi
    if [[ $state == ignored ]]; then
      STAYING[${#STAYING[@]}]=$path
      holds_path "$path" && left "$path" 'git ignores it'
      continue
    fi
    if ! { { [[ -z $ROOT && $path != */* && $kind != directory ]]; } || holds_path "$path" || is_new_manifest "$path"; }; then
      STAYING[${#STAYING[@]}]=$path
      continue
    fi
    if in_places "$path" ignored; then why='git ignored it then'
    elif is_excluded "$ROOT" "$path"; then why='the settings excluded it'
    elif in_places "$path" foreign; then why='it belongs to a package that was not protected'
    elif ((UNJUDGED_ALL)); then why='git does not work here, so it cannot be judged'
    else
      for p in "${UNJUDGED[@]}"; do
        is_in "$path" "$p" && why='git does not work here, so it cannot be judged'
      done
      [[ -z $why && $kind == other ]] && why='it is no file'
    fi
    if [[ -z $why ]]; then MOVABLE[${#MOVABLE[@]}]=$path
    else
      STAYING[${#STAYING[@]}]=$path
      [[ $kind == directory ]] || left "$path" "$why"
    fi
    for p in "${CLOSED_DIRS[@]}"; do
      [[ $p == "$path" ]] && { left "$path" 'it cannot be read: Permission denied (os error 13)'; STAYING[${#STAYING[@]}]=$path; }
    done
  done
}
left() { LEFT[${#LEFT[@]}]=$1 LEFT_WHY[${#LEFT_WHY[@]}]=$2; }
# A Cargo.toml that appeared in a directory that was there and was no package.
is_new_manifest() {
  local p
  [[ -z $ROOT && ${1##*/} == Cargo.toml && $1 == */* ]] || return 1
  for p in "${S_UNP[@]}"; do [[ $p == "${1%/*}" ]] && ! in_places "$1" foreign && return 0; done
  return 1
}

# ---- The plan: A_* are its actions, in the order of root and path; B_* what stands there, F_* what is to stand there

reset_plan() {
  A_ROOT=() A_PATH=() A_ORIGIN=() A_VERB=() B_KIND=() B_MODE=() B_SIZE=() B_CONT=() F_KIND=() F_MODE=() F_SIZE=() F_CONT=()
  L_SHOWN=() L_WHY=() OUT_SHOWN=() TOUCH_ROOT=() TOUCH=() UNLOCK_ROOT=() UNLOCK=() UNLOCK_MODE=() J_NAME=() J_WAY=()
  UNCHANGED=0
}
action() { # root path, before and after (kind mode size content each), origin
  local i=${#A_PATH[@]}
  A_ROOT[i]=$1 A_PATH[i]=$2 B_KIND[i]=$3 B_MODE[i]=$4 B_SIZE[i]=$5 B_CONT[i]=$6 F_KIND[i]=$7 F_MODE[i]=$8 F_SIZE[i]=$9
  shift 9
  F_CONT[i]=$1 A_ORIGIN[i]=$2
  verb "$i"
}
verb() {
  local i=$1 v
  case ${B_KIND[i]}:${F_KIND[i]} in
  none:directory) v=create_dir ;;
  none:*) v=create ;;
  directory:none) v=remove_dir ;;
  *:none) v=displace ;;
  *) if same_content "${B_KIND[i]}" "${B_CONT[i]}" "${F_KIND[i]}" "${F_CONT[i]}"; then v=mode; else v=replace; fi ;;
  esac
  A_VERB[i]=$v
}
# Whether new content or a link is put there, and whether something that is no directory is moved out.
places() { [[ (${A_VERB[$1]} == create || ${A_VERB[$1]} == replace) && ${F_KIND[$1]} != directory ]]; }
displaces() { [[ (${A_VERB[$1]} == replace || ${A_VERB[$1]} == displace) && ${B_KIND[$1]} != directory ]]; }

# Reads --only: ONLY_ROOT and ONLY_PATH.
read_only() {
  local text path i root
  ONLY_ROOT=() ONLY_PATH=()
  for text in "${ONLY[@]}"; do
    if [[ $text == "$WS" ]]; then text=.; elif [[ $text == "$WS"/* ]]; then text=${text:${#WS}+1}; fi
    if [[ -z $text || $text == / ]]; then
      show "$text"
      fail 2 "--only \`$R\` names no path" 'give a path below the workspace root; `.` is all of it'
      return 1
    fi
    root='' path=$text
    for ((i = 0; i < ${#R_NAME[@]}; i++)); do
      [[ -n ${R_NAME[i]} && $text == "${R_NAME[i]}":* ]] && { root=${R_NAME[i]} path=${text:${#R_NAME[i]}+1}; break; }
    done
    while [[ $path == */ ]]; do path=${path%/}; done
    while [[ $path == ./* ]]; do path=${path#./}; done
    [[ $path == . ]] && path=''
    if [[ -n $path ]] && ! is_relative "$path"; then
      i=$R
      show "$text"
      fail 2 "--only $R: $i" 'give a path below the workspace root'
      return 1
    fi
    ONLY_ROOT[${#ONLY_ROOT[@]}]=$root ONLY_PATH[${#ONLY_PATH[@]}]=$path
  done
}
is_relative() {
  case $1 in /*) R='path is absolute'; return 1 ;; esac
  case /$1/ in
  *//*) R='path has an empty component'; return 1 ;;
  */./* | */../*) R='path has a component `.` or `..`'; return 1 ;;
  esac
}
asked() { # root path
  local i
  ((${#ONLY_PATH[@]})) || return 0
  for ((i = 0; i < ${#ONLY_PATH[@]}; i++)); do [[ ${ONLY_ROOT[i]} == "$1" ]] && is_in "$2" "${ONLY_PATH[i]}" && return 0; done
  return 1
}
leads_to_asked() {
  local i
  for ((i = 0; i < ${#ONLY_PATH[@]}; i++)); do
    [[ ${ONLY_ROOT[i]} == "$1" && -n ${ONLY_PATH[i]} ]] && is_in "${ONLY_PATH[i]}" "$2" && return 0
  done
  return 1
}
check_only() {
  local i j hit
  for ((i = 0; i < ${#ONLY_PATH[@]}; i++)); do
    hit=0
    for ((j = 0; j < ${#E_PATH[@]}; j++)); do
      [[ ${E_ROOT[j]} == "${ONLY_ROOT[i]}" ]] && is_in "${E_PATH[j]}" "${ONLY_PATH[i]}" && { hit=1; break; }
    done
    ((hit)) || for ((j = 0; j < ${#D_PATH[@]}; j++)); do
      [[ ${D_ROOT[j]} == "${ONLY_ROOT[i]}" ]] && is_in "${D_PATH[j]}" "${ONLY_PATH[i]}" && { hit=1; break; }
    done
    if ((!hit)); then
      show "${ONLY[i]}"
      fail 2 "--only $R: $BACKUP_ID holds no such path" \
        '`show` lists what a restore point holds; paths count from the workspace root'
      return 1
    fi
    if [[ -n ${ONLY_ROOT[i]} ]] && ((!OUTSIDE)); then
      fail 2 "\`${ONLY_ROOT[i]}\` lies outside the workspace" 'add --outside to write there too'
      return 1
    fi
  done
}

# Refuses what would be written or moved in the store, and what would stand in place of a directory above it: ROOT's
# directory in $1; the restore point's paths in it from LOW to HIGH.
refuse_targets_in_store() {
  local above store place i
  above=$(builtin cd -P -- "$1" && printf '%sx' "$PWD") && store=$(builtin cd -P -- "$STORE" && printf '%sx' "$PWD") || return 0
  above=${above%x} store=${store%x}
  above=${above%/}
  if [[ $store/ == "$above"/* ]]; then
    place=${store#"$above"}
    place=${place#/}
  elif [[ $above/ == "$store"/* ]]; then
    place=
  else
    return 0
  fi
  for ((i = LOW; i < HIGH; i++)); do
    if [[ -z $place || ${E_PATH[i]}/ == "$place"/* ]] ||
      [[ ${E_KIND[i]} != directory && $place == "${E_PATH[i]}"/* ]]; then
      shown "$ROOT" "${E_PATH[i]}"
      fail 3 "files of the restore point lie in the store, $R among them; nothing was changed" \
        'restore it to an empty directory instead: `backstop rollback -t ID --to DIR`'
      return 1
    fi
  done
}

plan_rollback() {
  local r i n dir key missing=() asking
  reset_plan
  refuse_cut_off && catalogue && select_point "$WANTED" && read_conf "$POINT_LABEL" "$POINT_ID" && read_only || return 1
  PURPOSE=rollback TARGET=$POINT_ID TARGET_SHOWN=$BACKUP_ID
  n=${#E_PATH[@]}
  # The present: N_* at the restore point's paths, D_* what was added, K_* what stays.
  N_KIND=() N_MODE=() N_SIZE=() N_CONT=() D_ROOT=() D_PATH=() D_KIND=() D_MODE=() D_SIZE=() D_CONT=() K_ROOT=() K_PATH=()
  X_ROOT=() X_PATH=() X_WHY=() REACHED=()
  for ((r = 0; r < ${#R_NAME[@]}; r++)); do
    ROOT=${R_NAME[r]}
    root_directory "$ROOT" "${R_WAY[r]}" || return 1
    dir=$R
    if [[ -n $ROOT ]] && [[ -L $dir || ! -d $dir ]]; then
      show "$dir"
      missing[${#missing[@]}]="$ROOT: $R"
      slice "$ROOT"
      for ((i = LOW; i < HIGH; i++)); do shown "$ROOT" "${E_PATH[i]}"; OUT_SHOWN[${#OUT_SHOWN[@]}]=$R; done
      continue
    fi
    slice "$ROOT"
    [[ -n $ROOT ]] && ((!OUTSIDE)) || refuse_targets_in_store "$dir" || return 1
    LOOK=()
    ((HIGH > LOW)) && LOOK=("${E_PATH[@]:LOW:HIGH-LOW}")
    look "$dir" || return 1
    for ((i = LOW; i < HIGH; i++)); do
      N_KIND[i]=${T_KIND[i-LOW]} N_MODE[i]=${T_MODE[i-LOW]} N_SIZE[i]=${T_SIZE[i-LOW]} N_CONT[i]=${T_CONT[i-LOW]}
    done
    additions "$dir" || return 1
    LOOK=("${MOVABLE[@]}")
    look "$dir" || return 1
    if [[ -n $ROOT ]] && ((!OUTSIDE)); then
      for ((i = LOW; i < HIGH; i++)); do
        same_content "${N_KIND[i]}" "${N_CONT[i]}" "${E_KIND[i]}" "${E_CONT[i]}" && continue
        shown "$ROOT" "${E_PATH[i]}"
        OUT_SHOWN[${#OUT_SHOWN[@]}]=$R
      done
      for ((i = 0; i < ${#MOVABLE[@]}; i++)); do
        [[ ${T_KIND[i]} == directory || ${T_KIND[i]} == none ]] && continue
        shown "$ROOT" "${MOVABLE[i]}"
        OUT_SHOWN[${#OUT_SHOWN[@]}]=$R
      done
      continue
    fi
    REACHED[${#REACHED[@]}]=$r J_NAME[${#J_NAME[@]}]=$ROOT J_WAY[${#J_WAY[@]}]=${R_WAY[r]}
    for ((i = 0; i < ${#MOVABLE[@]}; i++)); do
      [[ ${T_KIND[i]} == none ]] && continue
      key=${#D_PATH[@]}
      D_ROOT[key]=$ROOT D_PATH[key]=${MOVABLE[i]} D_KIND[key]=${T_KIND[i]} D_MODE[key]=${T_MODE[i]} D_SIZE[key]=${T_SIZE[i]}
      D_CONT[key]=${T_CONT[i]}
    done
    for key in "${STAYING[@]}"; do K_ROOT[${#K_ROOT[@]}]=$ROOT K_PATH[${#K_PATH[@]}]=$key; done
    for ((i = 0; i < ${#LEFT[@]}; i++)); do
      X_ROOT[${#X_ROOT[@]}]=$ROOT X_PATH[${#X_PATH[@]}]=${LEFT[i]} X_WHY[${#X_WHY[@]}]=${LEFT_WHY[i]}
    done
  done
  if ((OUTSIDE && ${#missing[@]})); then
    fail 3 'a directory outside the workspace is gone; nothing was changed' \
      'make the directory (it may be empty), then roll back again; or leave out --outside'
    E_DETAILS=("${missing[@]}")
    return 1
  fi
  check_only || return 1
  verify_sources || return 1
  plan_entries && touch_roots && read_only_parents
}

# Which copy each file that differs is taken from: SOURCE is `session`, `archive` or empty.
verify_sources() {
  local i k want=() bad=() r lost=() taken=0
  SOURCE=()
  for r in "${REACHED[@]}"; do
    slice "${R_NAME[r]}"
    for ((i = LOW; i < HIGH; i++)); do
      [[ ${E_KIND[i]} == file ]] && asked "${E_ROOT[i]}" "${E_PATH[i]}" || continue
      same_content "${N_KIND[i]}" "${N_CONT[i]}" file "${E_CONT[i]}" || want[${#want[@]}]=$i
    done
  done
  ((${#want[@]})) || return 0
  bad=("${want[@]}")
  if [[ $FROM != archive ]]; then
    bad=()
    LOOK=()
    for i in "${want[@]}"; do stored "${E_ROOT[i]}" "${E_PATH[i]}"; LOOK[${#LOOK[@]}]=$R; done
    if [[ -d $STORE/session_$POINT_ID ]]; then look "$STORE/session_$POINT_ID" || return 1
    else T_KIND=() T_CONT=()
    fi
    for ((k = 0; k < ${#want[@]}; k++)); do
      i=${want[k]}
      if [[ ${T_KIND[k]-} == file && ${T_CONT[k]} == "${E_CONT[i]}" ]]; then SOURCE[i]=session; else bad[${#bad[@]}]=$i; fi
    done
  fi
  not_stopped || return 1
  if ((${#bad[@]})) && [[ $FROM != session ]]; then
    rm -rf -- "$W/archive"
    mkdir -- "$W/archive"
    LOOK=()
    for i in "${bad[@]}"; do stored "${E_ROOT[i]}" "${E_PATH[i]}"; LOOK[${#LOOK[@]}]=$R; done
    unpack "$POINT_LABEL" "$POINT_ID" "$W/archive"
    look "$W/archive" || return 1
    for ((k = 0; k < ${#bad[@]}; k++)); do
      i=${bad[k]}
      if [[ ${T_KIND[k]} == file && ${T_CONT[k]} == "${E_CONT[i]}" ]]; then SOURCE[i]=archive; ((taken += 1)); fi
    done
    rm -rf -- "$W/archive"
    if ((taken)) && [[ $FROM != archive ]]; then
      plural "$taken" 'file is' 'files are'
      note "$R damaged in the session and taken from the archive"
    fi
  fi
  for i in "${want[@]}"; do [[ -n ${SOURCE[i]-} ]] || { shown "${E_ROOT[i]}" "${E_PATH[i]}"; lost[${#lost[@]}]=$R; }; done
  ((${#lost[@]})) || return 0
  local where='in both copies' help='leave out --from: each file is then taken from whichever copy is whole'
  case $FROM in
  session) where='in the session' ;;
  archive) where='in the archive' ;;
  *) help='`validate --repair` may mend it; or roll back to another (`list`), or take what is whole: --only PATH' ;;
  esac
  plural ${#lost[@]} 'file is' 'files are'
  fail 3 "$R damaged $where of $BACKUP_ID; nothing was changed" "$help"
  E_DETAILS=("${lost[@]}")
  return 1
}
# Where a path lies in a session, an archive or among the displaced.
stored() { if [[ -z $1 ]]; then R=files/$2; else R=outside/$1/$2; fi; }

# Takes the files of LOOK out of an archive into a private directory: these names and no others, whatever the archive
# holds; nothing that is there is replaced. What comes out is proven by its digest. No more is unpacked than the whole
# restore point can take.
unpack() {
  local archive=$STORE/archives/${1}_backup_$2.tar.gz limit=65536 i
  [[ -f $archive && ! -L $archive ]] || return 0
  for ((i = 0; i < ${#E_PATH[@]}; i++)); do
    ((limit += (10#0${E_SIZE[i]} + 511) / 512 * 512 + 4096 + ${#E_PATH[i]} + ${#E_CONT[i]}))
  done
  printf '%s\0' "${LOOK[@]}" >"$W/members"
  gzip -dc <"$archive" 2>/dev/null | head -c "$limit" | tar -x -f - -C "$3" --no-same-owner --no-same-permissions \
    --keep-old-files --no-recursion --no-wildcards --anchored --touch --null --no-unquote \
    --verbatim-files-from -T "$W/members" 2>/dev/null
  find "$3" -type d -exec chmod u+rwx -- {} + 2>/dev/null
  find "$3" -type f -exec chmod u+rw -- {} + 2>/dev/null
  return 0
}

# The entries' actions and the removals, merged in order; and what is left alone.
plan_entries() {
  local r i k d=0 asking origin kind mode
  in_the_way || return 1
  occupied
  for r in "${REACHED[@]}"; do
    ROOT=${R_NAME[r]}
    slice "$ROOT"
    for ((i = LOW; i < HIGH; i++)); do
      while ((d < ${#D_PATH[@]})) && [[ ${D_ROOT[d]} == "$ROOT" && ${D_PATH[d]} < ${E_PATH[i]} ]]; do removal "$d"; ((d += 1)); done
      kind=${N_KIND[i]} mode=${E_MODE[i]}
      asking=0
      asked "$ROOT" "${E_PATH[i]}" && asking=1
      if ((!asking)); then
        [[ ${E_KIND[i]} == directory && $kind != directory ]] && leads_to_asked "$ROOT" "${E_PATH[i]}" || continue
      fi
      if same_content "$kind" "${N_CONT[i]}" "${E_KIND[i]}" "${E_CONT[i]}"; then
        case $kind in
        symlink) ((UNCHANGED += 1)); continue ;;
        file) [[ ${N_MODE[i]} == "$mode" ]] && { ((UNCHANGED += 1)); continue; } ;;
        # A directory that stands above protected files only keeps the mode that it has.
        directory) [[ ${N_MODE[i]} == "$mode" ]] || ! protected_directory "${E_PATH[i]}" && continue ;;
        esac
      fi
      [[ ${E_KIND[i]} == symlink ]] && mode=''
      origin=${SOURCE[i]-}
      same_content "$kind" "${N_CONT[i]}" "${E_KIND[i]}" "${E_CONT[i]}" && origin=''
      action "$ROOT" "${E_PATH[i]}" "$kind" "${N_MODE[i]}" "${N_SIZE[i]}" "${N_CONT[i]}" \
        "${E_KIND[i]}" "$mode" "${E_SIZE[i]}" "${E_CONT[i]}" "$origin"
    done
    while ((d < ${#D_PATH[@]})) && [[ ${D_ROOT[d]} == "$ROOT" ]]; do removal "$d"; ((d += 1)); done
  done
  # What stays, in order.
  for ((i = 0; i < ${#X_PATH[@]}; i++)); do
    asked "${X_ROOT[i]}" "${X_PATH[i]}" && { shown "${X_ROOT[i]}" "${X_PATH[i]}"; L_SHOWN[${#L_SHOWN[@]}]=$R L_WHY[${#L_WHY[@]}]=${X_WHY[i]}; }
  done
  return 0
}
protected_directory() { ((S_WHOLE)) || in_places "$1" directories; }
removal() {
  local d=$1 k
  goes "${D_ROOT[d]}" "${D_PATH[d]}" || return 0
  if [[ ${D_KIND[d]} == directory ]]; then find_in OCCUPIED "${D_ROOT[d]}//${D_PATH[d]}" && return 0; fi
  action "${D_ROOT[d]}" "${D_PATH[d]}" "${D_KIND[d]}" "${D_MODE[d]}" "${D_SIZE[d]}" "${D_CONT[d]}" none '' '' '' ''
}
goes() { { ((!KEEP_NEW)) && asked "$1" "$2"; } || obstructs "$1" "$2"; }
obstructs() {
  local i
  for ((i = 0; i < ${#CLEARED[@]}; i++)); do [[ ${CLEARED_ROOT[i]} == "$1" && $2 == "${CLEARED[i]}"/* ]] && return 0; done
  return 1
}
# Directories that have to make way for a file or a link, and what in them may not be moved.
in_the_way() {
  local i blocked=()
  CLEARED=() CLEARED_ROOT=()
  for ((i = 0; i < ${#E_PATH[@]}; i++)); do
    [[ ${N_KIND[i]-} == directory && ${E_KIND[i]} != directory ]] && asked "${E_ROOT[i]}" "${E_PATH[i]}" || continue
    [[ -n ${E_ROOT[i]} ]] && ((!OUTSIDE)) && continue
    CLEARED[${#CLEARED[@]}]=${E_PATH[i]} CLEARED_ROOT[${#CLEARED_ROOT[@]}]=${E_ROOT[i]}
  done
  ((${#CLEARED[@]})) || return 0
  for ((i = 0; i < ${#K_PATH[@]}; i++)); do
    obstructs "${K_ROOT[i]}" "${K_PATH[i]}" || continue
    shown "${K_ROOT[i]}" "${K_PATH[i]}"
    blocked[${#blocked[@]}]="$R: would have to make way, and is not the rollback's to move"
  done
  ((${#blocked[@]})) || return 0
  fail 3 'a directory stands where the restore point has a file, and holds what must stay; nothing was changed' \
    'move these out of the directory yourself, then roll back again'
  E_DETAILS=("${blocked[@]}")
  return 1
}
# The directories in which something stays: they stay too.
occupied() {
  local i p keys=() last=''
  OCCUPIED=()
  for ((i = 0; i < ${#K_PATH[@]}; i++)); do
    p=${K_PATH[i]}
    [[ ${p%/*} == "$last" ]] && continue
    last=${p%/*}
    while [[ $p == */* ]]; do p=${p%/*}; keys[${#keys[@]}]=${K_ROOT[i]}//$p; done
  done
  for ((i = 0; i < ${#D_PATH[@]}; i++)); do
    goes "${D_ROOT[i]}" "${D_PATH[i]}" && continue
    p=${D_PATH[i]}
    [[ ${D_KIND[i]} != directory ]] && asked "${D_ROOT[i]}" "$p" &&
      X_ROOT[${#X_ROOT[@]}]=${D_ROOT[i]} X_PATH[${#X_PATH[@]}]=$p X_WHY[${#X_WHY[@]}]='--keep-new'
    while [[ $p == */* ]]; do p=${p%/*}; keys[${#keys[@]}]=${D_ROOT[i]}//$p; done
  done
  ((${#keys[@]})) || return 0
  printf '%s\0' "${keys[@]}" | sort -z -u >"$W/sorted"
  read_list "$W/sorted"
  OCCUPIED=("${LIST[@]}")
}

# Cargo sees a changed `.rs` file by its time; what a build script or a macro read, a link that points elsewhere, or a
# file that went, only through the crate roots of the package.
touch_roots() {
  local i k p best owner path keys=()
  for ((i = 0; i < ${#A_PATH[@]}; i++)); do
    case ${A_VERB[i]} in create | replace | displace) ;; *) continue ;; esac
    path=${A_PATH[i]}
    if [[ ${B_KIND[i]} != symlink && ${F_KIND[i]} != symlink ]]; then
      case ${path##*/} in ?*.rs | Cargo.toml) continue ;; esac
    fi
    best=-1 owner=-1
    for ((p = 0; p < ${#P_DIR[@]}; p++)); do
      [[ ${P_ROOT[p]} == "${A_ROOT[i]}" ]] && ((${#P_DIR[p]} > best)) && is_in "$path" "${P_DIR[p]}" && best=${#P_DIR[p]} owner=$p
    done
    ((owner >= 0)) || continue
    for ((k = P_FROM[owner]; k < P_FROM[owner] + P_COUNT[owner]; k++)); do keys[${#keys[@]}]=${A_ROOT[i]}//${P_CRATE[k]}; done
  done
  ((${#keys[@]})) || return 0
  printf '%s\0' "${keys[@]}" | sort -z -u >"$W/sorted"
  read_list "$W/sorted"
  for k in "${LIST[@]}"; do
    slice "${k%%//*}"
    find_entry "${k#*//}" && [[ ${N_KIND[R]-} == file ]] || continue
    # What is replaced anyway gets its time then.
    for ((i = 0; i < ${#A_PATH[@]}; i++)); do
      [[ ${A_PATH[i]} == "${k#*//}" && ${A_ROOT[i]} == "${k%%//*}" ]] && { places "$i" || displaces "$i"; } && continue 2
    done
    TOUCH_ROOT[${#TOUCH_ROOT[@]}]=${k%%//*} TOUCH[${#TOUCH[@]}]=${k#*//}
  done
  return 0
}
# Directories that exist, forbid their owner to write, and hold something that changes.
read_only_parents() {
  local i k root path mode
  for ((k = 0; k < ${#E_PATH[@]} + ${#D_PATH[@]}; k++)); do
    if ((k < ${#E_PATH[@]})); then
      [[ ${N_KIND[k]-} == directory ]] || continue
      root=${E_ROOT[k]} path=${E_PATH[k]} mode=${N_MODE[k]}
    else
      i=$((k - ${#E_PATH[@]}))
      [[ ${D_KIND[i]} == directory ]] || continue
      root=${D_ROOT[i]} path=${D_PATH[i]} mode=${D_MODE[i]}
    fi
    [[ $mode == ?[37]?? ]] && continue
    for ((i = 0; i < ${#A_PATH[@]}; i++)); do
      [[ ${A_VERB[i]} != mode && ${A_ROOT[i]} == "$root" && ${A_PATH[i]} == */* && ${A_PATH[i]%/*} == "$path" ]] || continue
      UNLOCK_ROOT[${#UNLOCK_ROOT[@]}]=$root UNLOCK[${#UNLOCK[@]}]=$path UNLOCK_MODE[${#UNLOCK_MODE[@]}]=$mode
      break
    done
  done
  # In the order of root and path.
  local moved=1
  while ((moved)); do
    moved=0
    for ((k = 1; k < ${#UNLOCK[@]}; k++)); do
      [[ ${UNLOCK_ROOT[k]} == "${UNLOCK_ROOT[k-1]}" && ${UNLOCK[k]} < ${UNLOCK[k-1]} || ${UNLOCK_ROOT[k]} < ${UNLOCK_ROOT[k-1]} ]] || continue
      root=${UNLOCK_ROOT[k]} path=${UNLOCK[k]} mode=${UNLOCK_MODE[k]} moved=1
      UNLOCK_ROOT[k]=${UNLOCK_ROOT[k-1]} UNLOCK[k]=${UNLOCK[k-1]} UNLOCK_MODE[k]=${UNLOCK_MODE[k-1]}
      UNLOCK_ROOT[k-1]=$root UNLOCK[k-1]=$path UNLOCK_MODE[k-1]=$mode
    done
  done
  return 0
}

count_actions() {
  local i
  N_CREATED=0 N_REPLACED=0 N_MODES=0 N_DISPLACED=0 N_MADE=0 N_REMOVED=0 N_LEFT=${#L_SHOWN[@]}
  for ((i = 0; i < ${#A_VERB[@]}; i++)); do
    case ${A_VERB[i]} in
    create) ((N_CREATED += 1)) ;;
    replace) ((N_REPLACED += 1)) ;;
    mode) ((N_MODES += 1)) ;;
    displace) ((N_DISPLACED += 1)) ;;
    create_dir) ((N_MADE += 1)) ;;
    remove_dir) ((N_REMOVED += 1)) ;;
    esac
  done
}

# ---- What is printed of a plan and of what was done

noun() { case $1 in symlink) R=link ;; special) R='special file' ;; none) R=nothing ;; *) R=$1 ;; esac; }

# What the user said of the restore point: the one line of a manifest that is read, and for people alone.
message() {
  local line text='' out n=0
  R=''
  [[ -f $STORE/metadata/$TARGET_SHOWN.json ]] || return 0
  while read -r line && ((n < 12)); do
    ((n += 1))
    [[ $line == '  "message": "'*'",' ]] || continue
    line=${line#'  "message": "'}
    unescape_json "${line%\",}" && text=$R
    break
  done <"$STORE/metadata/$TARGET_SHOWN.json"
  show "$text"
  out=$R
  width "$out"
  if ((R > 60)); then
    # Cut between characters.
    text='' n=0
    while ((n < 59)); do
      text+=${out:0:1} out=${out:1}
      while [[ ${out:0:1} == [$'\200'-$'\277'] ]]; do text+=${out:0:1} out=${out:1}; done
      ((n += 1))
    done
    out=$text…
  fi
  R=$out
}

print_plan() {
  local i n=${#A_PATH[@]} word detail printed=()
  show "$WS"
  printed=("$(printf '%12s' Workspace)  $R")
  if [[ $PURPOSE == undo ]]; then
    printed[1]="        Undo  rollback $TARGET" printed[2]="     Back to  $TARGET_SHOWN"
  else
    message
    detail=$R
    width "$TARGET_SHOWN$detail"
    if [[ -z $detail ]]; then printed[1]="     Back to  $TARGET_SHOWN"
    elif ((R + 4 <= 66)); then printed[1]="     Back to  $TARGET_SHOWN  \"$detail\""
    else printed[1]="     Back to  $TARGET_SHOWN"$'\n'"              \"$detail\""
    fi
  fi
  if ((n < 200 || VERBOSE)); then
    for ((i = 0; i < n; i++)); do
      detail=''
      case ${A_VERB[i]} in
      create) word='      create' ;;
      create_dir) word='  create dir' ;;
      displace) word='    move out' ;;
      remove_dir) word='  remove dir' ;;
      mode) word=' change mode' detail="  ${B_MODE[i]} -> ${F_MODE[i]}" ;;
      replace)
        word='     replace'
        if [[ ${B_KIND[i]} != "${F_KIND[i]}" ]]; then
          noun "${B_KIND[i]}"; detail="  ($R -> "
          noun "${F_KIND[i]}"; detail+="$R)"
        fi
        ;;
      esac
      shown "${A_ROOT[i]}" "${A_PATH[i]}"
      printed[${#printed[@]}]="$word  $R$detail"
    done
  else
    printed[${#printed[@]}]="              $n changes: -v names each"
  fi
  for ((i = 0; i < ${#L_SHOWN[@]} && (i < 20 || VERBOSE); i++)); do
    printed[${#printed[@]}]=" leave alone  ${L_SHOWN[i]}  (${L_WHY[i]})"
  done
  ((i < ${#L_SHOWN[@]})) && printed[${#printed[@]}]="              … and $((${#L_SHOWN[@]} - i)) more left alone"
  if ((${#OUT_SHOWN[@]})); then
    plural ${#OUT_SHOWN[@]} 'path differs' 'paths differ'
    printed[${#printed[@]}]="     outside  $R outside the workspace; --outside writes them"
    for ((i = 0; i < ${#OUT_SHOWN[@]} && i < 20; i++)); do printed[${#printed[@]}]="              ${OUT_SHOWN[i]}"; done
  fi
  printf '%s\n' "${printed[@]}"
}
counted() {
  FILES='' DIRS=''
  ((N_CREATED)) && FILES+=", $N_CREATED created"
  ((N_REPLACED)) && FILES+=", $N_REPLACED replaced"
  ((N_MODES)) && FILES+=", $N_MODES mode changed"
  ((N_DISPLACED)) && FILES+=", $N_DISPLACED moved out"
  ((N_LEFT)) && FILES+=", $N_LEFT left alone"
  ((N_MADE)) && DIRS+=", $N_MADE created"
  ((N_REMOVED)) && DIRS+=", $N_REMOVED removed"
  [[ -n $DIRS ]] && DIRS="Directories: ${DIRS#, }"
  FILES=${FILES#, }
  if [[ -z $FILES ]]; then if [[ -n $DIRS ]]; then FILES='no files'; else FILES=nothing; fi; fi
}
print_plan_end() {
  if ((${#A_PATH[@]} == 0)); then
    plural "$UNCHANGED" 'file is as the restore point has it' 'files are as the restore point has them'
    printf 'Nothing to do: %s.\n' "$R"
    return
  fi
  counted
  printf 'Dry run, nothing was changed. It would be:\n  %s\n' "$FILES"
  [[ -n $DIRS ]] && printf '  %s\n' "$DIRS"
  plural "$UNCHANGED" 'file is right already' 'files are right already'
  printf '  %s\n' "$R"
}
duration() { # of nanoseconds
  local s=$(($1 / 1000000000)) c=$(($1 / 10000000 % 100))
  if ((s < 10)); then printf -v R '%d.%02d s' "$s" "$c"
  elif ((s < 120)); then R="$s s"
  else R="$((s / 60)) min $((s % 60)) s"
  fi
}
print_outcome() {
  local i undo=$SCRIPT
  counted
  if [[ $PURPOSE == undo ]]; then printf 'Undone: %s\n' "$FILES"; else printf 'Rolled back: %s\n' "$FILES"; fi
  [[ -n $DIRS ]] && printf '%s\n' "$DIRS"
  plural ${#A_PATH[@]} change changes
  i=$R
  now_ns
  duration $((R - STARTED))
  printf 'Verified: %d/%s read back in %s\n' "$VERIFIED" "$i" "$R"
  if ((${#MISMATCHES[@]})); then
    plural ${#MISMATCHES[@]} 'path was' 'paths were'
    printf 'warning: %s changed again by something else right away:\n' "$R"
    for ((i = 0; i < ${#MISMATCHES[@]} && i < 200; i++)); do printf '  %s\n' "${MISMATCHES[i]}"; done
  fi
  printf 'State before: no restore point was made of it; what had to go is kept\n'
  if [[ -d $DISPLACED ]]; then show "$DISPLACED"; printf 'Moved out to: %s\n' "$R"; fi
  [[ $SCRIPT == "$HERE"/* ]] && undo=${SCRIPT:${#HERE}+1}
  shell_word "$undo"
  printf 'Undo this: %s --undo\n' "$R"
}

# ---- The journal

journal_fields() {
  local i
  JOURNAL=(backstop-journal 1 "$ID" "$PURPOSE" "$TARGET" "$PRE_ROLLBACK" "$CREATED" roots ${#J_NAME[@]})
  for ((i = 0; i < ${#J_NAME[@]}; i++)); do JOURNAL+=("${J_NAME[i]}" "${J_WAY[i]}"); done
  JOURNAL+=(unlock ${#UNLOCK[@]})
  for ((i = 0; i < ${#UNLOCK[@]}; i++)); do JOURNAL+=("${UNLOCK_ROOT[i]}" "${UNLOCK[i]}" "${UNLOCK_MODE[i]}"); done
  JOURNAL+=(touch ${#TOUCH[@]})
  for ((i = 0; i < ${#TOUCH[@]}; i++)); do JOURNAL+=("${TOUCH_ROOT[i]}" "${TOUCH[i]}"); done
  JOURNAL+=(actions ${#A_PATH[@]})
  for ((i = 0; i < ${#A_PATH[@]}; i++)); do
    JOURNAL+=("${A_ROOT[i]}" "${A_PATH[i]}" "${B_KIND[i]}" "${B_MODE[i]}" "${B_SIZE[i]}" "${B_CONT[i]}"
      "${F_KIND[i]}" "${F_MODE[i]}" "${F_SIZE[i]}" "${F_CONT[i]}" "${A_ORIGIN[i]}")
  done
}
# The journal's bytes, with the seal, in $W/journal.
encode_journal() {
  local digest
  journal_fields
  printf '%s\0' "${JOURNAL[@]}" >"$W/journal" && digest=$(sha256sum <"$W/journal") &&
    printf 'end\0%s\0' "${digest:0:64}" >>"$W/journal"
}

read_journal() {
  local file=$1
  open_sealed "$file" && exec 3<"$W/fields" || { damaged_journal "$file"; return 1; }
  parse_journal
  local result=$?
  exec 3<&-
  ((result == 0)) || damaged_journal "$file"
}
damaged_journal() {
  show "$1"
  fail 3 "the journal \`$R\` is damaged" \
    'the files that it moved are below rollback/displaced_*; the restore points are untouched: see `list`'
}
parse_journal() {
  local i n root
  reset_plan
  next && [[ $V == backstop-journal ]] && next && [[ $V == 1 ]] && next && is_id "$V" || return 1
  ID=$V
  next && [[ $V == rollback || $V == undo ]] || return 1
  PURPOSE=$V
  next && is_id "$V" || return 1
  TARGET=$V
  next && { [[ -z $V ]] || is_id "$V"; } || return 1
  PRE_ROLLBACK=$V
  next || return 1
  CREATED=$V
  next_list roots || return 1
  for ((i = 0; i < N; i++)); do next && is_root_name "$V" && J_NAME[i]=$V && next || return 1; J_WAY[i]=$V; done
  next_list unlock || return 1
  for ((i = 0; i < N; i++)); do
    next && UNLOCK_ROOT[i]=$V && next && is_path "$V" && UNLOCK[i]=$V && next && is_mode "$V" || return 1
    UNLOCK_MODE[i]=$V
  done
  next_list touch || return 1
  for ((i = 0; i < N; i++)); do next && TOUCH_ROOT[i]=$V && next && is_path "$V" || return 1; TOUCH[i]=$V; done
  next_list actions || return 1
  n=$N
  for ((i = 0; i < n; i++)); do
    next && A_ROOT[i]=$V && next && is_path "$V" && A_PATH[i]=$V || return 1
    next_thing || return 1
    B_KIND[i]=$X1 B_MODE[i]=$X2 B_SIZE[i]=$X3 B_CONT[i]=$X4
    next_thing || return 1
    F_KIND[i]=$X1 F_MODE[i]=$X2 F_SIZE[i]=$X3 F_CONT[i]=$X4
    next || return 1
    case $V in '' | session | archive | displaced) ;; *) return 1 ;; esac
    A_ORIGIN[i]=$V
    verb "$i"
  done
  ! next
}
next_thing() {
  next && X1=$V && next && X2=$V && next && X3=$V && next && X4=$V || return 1
  case $X1 in
  file) is_mode "$X2" && is_count "$X3" && { [[ -z $X4 ]] || is_digest "$X4"; } ;;
  directory) is_mode "$X2" ;;
  none | symlink | special) ;;
  *) return 1 ;;
  esac
}

# ---- The transaction
#
# Intent journalled and synced; new files staged in the store and synced; every target looked at once more; the journal
# committed; files moved; everything synced and read back; the journal closed. Going forward and backward can each be
# begun again wherever they were cut off: what stands in the stage, at the target and among the displaced tells.

# Puts a file in place of another, old or new at every instant.
replace_file() { # from, to
  local new=${2%/*}/.${2##*/}.new
  { rm -f -- "$new" && cat <"$1" >"$new" && chmod 0600 -- "$new" && sync -- "$new" && mv -f -T -- "$new" "$2"; } 2>"$W/said" ||
    failed write "$2"
}
barrier() { sync -f -- "$1" 2>"$W/said" || failed sync "$1"; }
sync_directory() { sync -- "$1" 2>"$W/said" || failed sync "$1"; }

set_state() {
  printf '%s\n' "$1" >"$W/state" && replace_file "$W/state" "$STORE/state" && sync_directory "$STORE"
}

open_transaction() {
  local i
  STAGE=$STORE/rollback/stage_$ID DISPLACED=$STORE/rollback/displaced_$ID
  J_DIR=()
  for ((i = 0; i < ${#J_NAME[@]}; i++)); do
    root_directory "${J_NAME[i]}" "${J_WAY[i]}" || return 1
    canonical "$R" || { : >"$W/said"; failed 'open directory' "$R"; return 1; }
    J_DIR[i]=$R
  done
  for ((i = 0; i < ${#A_PATH[@]}; i++)); do dir_of "${A_ROOT[i]}" || return 1; done
}
# The directory of a root of the journal.
dir_of() {
  local k
  for ((k = 0; k < ${#J_NAME[@]}; k++)); do [[ ${J_NAME[k]} == "$1" ]] && { R=${J_DIR[k]}; return 0; }; done
  fail 3 "the journal names no root \`$1\`"
}
displaced_of() { stored "${A_ROOT[$1]}" "${A_PATH[$1]}"; R=$DISPLACED/$R; }
there() { [[ -e $1 || -L $1 ]]; }

# Stands in the directory of a path and puts its last part into NAME. What is stood in has to be the directory that is
# meant, and has to lie so deep below the root: a link that was put in its place meanwhile leads elsewhere.
enter() { # root, path
  local dir full up='' rest
  dir_of "$1" || return 1
  dir=$R NAME=./${2##*/} full=$dir
  [[ $2 == */* ]] && full=$dir/${2%/*}
  [[ $dir == / ]] && full=/${full#//}
  if ! builtin cd -P -- "$full" 2>"$W/said"; then
    enter_failed "$1" "$2" "$dir"
    return 1
  fi
  rest=$2
  while [[ $rest == */* ]]; do up+=../ rest=${rest#*/}; done
  if [[ $PWD != "$full" || ! . -ef $full || ! ./$up -ef $dir ]]; then
    builtin cd /
    shown "$1" "$2"
    changed "$R: a directory above it became a link or a file"
    return 1
  fi
}
enter_failed() {
  local way=${2%/*} at=$3
  way+=/
  while [[ -n $way ]]; do
    at+=/${way%%/*} way=${way#*/}
    if [[ -L $at || -e $at && ! -d $at ]]; then
      shown "$1" "$2"
      changed "$R: a directory above it became a link or a file"
      return
    fi
  done
  failed 'look at' "$3/$2"
}
# The same where the way there may have gone: 1 then. A link in the way leads elsewhere, and is none.
enter_if_there() {
  local at rest=$2
  enter "$1" "$2" && return 0
  builtin cd /
  dir_of "$1"
  at=$R
  while [[ $rest == */* ]]; do
    at+=/${rest%%/*} rest=${rest#*/}
    [[ -d $at && ! -L $at ]] || return 1
  done
  return 2
}

begin() {
  now_ns
  set_state "rollback $ID" || return 1
  encode_journal && replace_file "$W/journal" "$STORE/rollback/journal" || return 1
  sync_directory "$STORE/rollback"
}

stage() {
  local i k n=0 files=() pairs=() mode modes path from
  remove_tree "$STAGE" && mkdir -m 0700 -- "$STAGE" 2>"$W/said" || { failed 'create directory' "$STAGE"; return 1; }
  for ((i = 0; i < ${#A_PATH[@]}; i++)); do places "$i" && ((n += 1)); done
  plural "$n" file files
  phase Staging "$R" "$n"
  ((n)) || { barrier "$STORE"; return; }
  LOOK=()
  for ((i = 0; i < ${#A_PATH[@]}; i++)); do
    places "$i" || continue
    not_stopped || return 1
    if [[ ${F_KIND[i]} == symlink ]]; then
      ln -s -T -- "${F_CONT[i]}" "$STAGE/$i" 2>"$W/said" || { failed create "$STAGE/$i"; return 1; }
      continue
    fi
    stored "${A_ROOT[i]}" "${A_PATH[i]}"
    path=$R
    case ${A_ORIGIN[i]} in
    archive) LOOK[${#LOOK[@]}]=$path from=$STAGE/archive/$path ;;
    displaced) from=$STORE/rollback/displaced_$TARGET/$path ;;
    *) from=$STORE/session_$TARGET/$path ;;
    esac
    files[${#files[@]}]=$i
    pairs+=("$from" "$STAGE/$i")
  done
  if ((${#LOOK[@]})); then
    mkdir -m 0700 -- "$STAGE/archive" 2>"$W/said" || { failed 'create directory' "$STAGE/archive"; return 1; }
    catalogue
    for ((k = 0; k < ${#C_ID[@]}; k++)); do
      [[ ${C_ID[k]} == "$TARGET" ]] || continue
      [[ ${BACKUP_ID-} == "${C_LABEL[k]}_backup_$TARGET" ]] || read_conf "${C_LABEL[k]}" "$TARGET" || return 1
      unpack "${C_LABEL[k]}" "$TARGET" "$STAGE/archive"
    done
  fi
  if ((${#files[@]})); then
    printf '%s\0' "${pairs[@]}" | xargs -0 -n 2 cp -P -T -- 2>"$W/said" || { not_stopped || return 1; failed write "$STAGE"; return 1; }
    not_stopped || return 1
    LOOK=("${files[@]}")
    look "$STAGE" || return 1
    for ((k = 0; k < ${#files[@]}; k++)); do
      i=${files[k]}
      [[ ${T_KIND[k]} == file && -n ${F_CONT[i]} && ${T_CONT[k]} == "${F_CONT[i]}" ]] && continue
      shown "${A_ROOT[i]}" "${A_PATH[i]}"
      fail 3 "$R was damaged while it was copied"
      return 1
    done
    modes=$(for i in "${files[@]}"; do printf '%s\n' "${F_MODE[i]}"; done | sort -u)
    while read -r mode; do
      for i in "${files[@]}"; do [[ ${F_MODE[i]} == "$mode" ]] && printf '%s\0' "$STAGE/$i"; done | xargs -0 chmod "$mode" -- \
        2>"$W/said" || { failed finish "$STAGE"; return 1; }
    done <<<"$modes"
  fi
  remove_tree "$STAGE/archive" && barrier "$STORE"
}

# Looks at every target; the roots one after the other. U_* then are in the order of the actions.
look_at_targets() {
  local r i k index
  U_KIND=() U_MODE=() U_SIZE=() U_CONT=() U_IDENT=()
  for ((r = 0; r < ${#J_NAME[@]}; r++)); do
    LOOK=() index=()
    for ((i = 0; i < ${#A_PATH[@]}; i++)); do
      [[ ${A_ROOT[i]} == "${J_NAME[r]}" ]] && LOOK[${#LOOK[@]}]=${A_PATH[i]} && index[${#index[@]}]=$i
    done
    ((${#LOOK[@]})) || continue
    look "${J_DIR[r]}" || return 1
    for ((k = 0; k < ${#index[@]}; k++)); do
      i=${index[k]}
      U_KIND[i]=${T_KIND[k]} U_MODE[i]=${T_MODE[k]} U_SIZE[i]=${T_SIZE[k]} U_CONT[i]=${T_CONT[k]} U_IDENT[i]=${T_IDENT[k]}
    done
  done
}

recheck() {
  local i moved=()
  phase Checking 'that nothing moved since' 0
  look_at_targets || return 1
  for ((i = 0; i < ${#A_PATH[@]}; i++)); do
    [[ ${U_KIND[i]}/${U_MODE[i]}/${U_SIZE[i]}/${U_CONT[i]} == "${B_KIND[i]}/${B_MODE[i]}/${B_SIZE[i]}/${B_CONT[i]}" ]] && continue
    shown "${A_ROOT[i]}" "${A_PATH[i]}"
    moved[${#moved[@]}]=$R
  done
  SEEN=("${U_IDENT[@]}")
  ((${#moved[@]} == 0)) || changed "${moved[@]}"
}

commit() {
  encode_journal && printf 'committed\0' >>"$W/journal" && replace_file "$W/journal" "$STORE/rollback/journal" &&
    sync_directory "$STORE/rollback"
}

# Everything up to the commit.
prepare() { stage && recheck && not_stopped && commit; }

# Which targets lie on another file system than the store: `mv` would copy there. A_FAR[i] is 1 for those.
find_far() {
  local i own dir last='' dirs=() of=() n=-1 line k
  A_FAR=()
  own=$(stat -c '%d %m' -- "$STORE/rollback"; echo .)
  for ((i = 0; i < ${#A_PATH[@]}; i++)); do
    dir_of "${A_ROOT[i]}"
    dir=$R/${A_PATH[i]}
    if [[ ${dir%/*} != "$last" ]]; then
      last=${dir%/*}
      while :; do
        dir=${dir%/*}
        [[ -d ${dir:-/} && ! -L $dir ]] && break
      done
      ((n += 1))
      dirs[n]=${dir:-/}
    fi
    of[i]=$n
  done
  ((n >= 0)) || return 0
  k=0
  printf '%s\0' "${dirs[@]}" | xargs -0 stat --printf '%d %m\n.\0' -- >"$W/devices" 2>"$W/said" || { failed 'look at' "${dirs[0]}"; return 1; }
  local devices=()
  while read -r -d '' line; do devices[k]=$line; ((k += 1)); done <"$W/devices"
  for ((i = 0; i < ${#A_PATH[@]}; i++)); do
    A_FAR[i]=0
    [[ ${devices[of[i]]} == "$own" ]] || A_FAR[i]=1
  done
}

# A rename that replaces nothing. `mv -n` may do nothing and say so to nobody: looked at afterwards.
rename_new() { # from, to
  if there "$2"; then printf 'File exists\n' >"$W/said"; return 2; fi
  : >"$W/said"
  mv -n -T -- "$1" "$2" 2>"$W/said"
  there "$1" || { there "$2"; return; }
  there "$2" && { printf 'File exists\n' >"$W/said"; return 2; }
  return 1
}

make_parents() {
  [[ -d ${1%/*} ]] && return 0
  mkdir -p -- "${1%/*}" 2>"$W/said" || failed 'create directory' "${1%/*}"
}

# Looks at one thing: kind in X1, mode in X2, content in X4.
look_at() { # directory, path
  LOOK=("$2")
  look "$1" || return 1
  X1=${T_KIND[0]} X2=${T_MODE[0]} X4=${T_CONT[0]} X5=${T_IDENT[0]}
}
is_copy_of() { # action, file in the store
  local k c
  [[ -d ${2%/*} ]] || return 1
  look_at "${2%/*}" "${2##*/}" || return 1
  k=$X1 c=$X4
  dir_of "${A_ROOT[$1]}"
  look_at "$R" "${A_PATH[$1]}" && same_content "$X1" "$X4" "$k" "$c"
}

step() { # action
  ((VERBOSE && !QUIET)) && tell "$1"
  ((!INTERRUPTED))
}
past() {
  case ${A_VERB[$1]} in
  create | create_dir) R=created ;; replace) R=replaced ;; mode) R='mode changed' ;; displace) R=displaced ;; *) R=removed ;;
  esac
}
tell() {
  local word
  past "$1"
  word=$R
  shown "${A_ROOT[$1]}" "${A_PATH[$1]}"
  printf '%12s %s\n' "$word" "$R" >&2
}
log_actions() {
  local i before after
  for ((i = 0; i < ${#A_PATH[@]}; i++)); do
    case ${B_KIND[i]} in file) before=${B_CONT[i]:-file} ;; *) noun "${B_KIND[i]}"; before=$R ;; esac
    case ${F_KIND[i]} in file) after=${F_CONT[i]:-file} ;; *) noun "${F_KIND[i]}"; after=$R ;; esac
    shown "${A_ROOT[i]}" "${A_PATH[i]}"
    local path=$R
    past "$i"
    log "file: $R $path $before -> $after"
  done
}

# Moves everything into place; $1 is 1 where it may have been begun before. 1: failed, 2: somebody asked to stop.
forward() {
  local again=$1 i n=${#A_PATH[@]}
  plural "$n" change changes
  phase 'Rolling back' "$R" "$n"
  find_far && unlock || return 1
  ((again)) && { drop_parts || return 1; }
  for ((i = 0; i < n; i++)); do
    displaces "$i" && ! places "$i" || continue
    move_out "$i" || return 1
    step "$i" || return 2
  done
  for ((i = n - 1; i >= 0; i--)); do
    [[ ${B_KIND[i]} == directory && ${F_KIND[i]} != directory ]] || continue
    remove_directory "$i" 0 || return 1
    places "$i" || step "$i" || return 2
  done
  for ((i = 0; i < n; i++)); do
    [[ ${B_KIND[i]} != directory && ${F_KIND[i]} == directory ]] || continue
    create_directory "$i" || { save_error; keep_owners; load_error; return 1; }
    step "$i" || { keep_owners; return 2; }
  done
  for ((i = 0; i < n; i++)); do
    places "$i" || continue
    # What stands already is given to its owner, also where it ends here.
    place "$i" "$again" || { save_error; keep_owners; load_error; return 1; }
    step "$i" || { keep_owners; return 2; }
  done
  ((again)) || check_moved || return 1
  keep_owners || return 1
  for ((i = 0; i < n; i++)); do
    [[ ${A_VERB[i]} == mode ]] || continue
    change_mode "$i" "${F_KIND[i]}" "${F_MODE[i]}" || return 1
    step "$i" || return 2
  done
  log_actions
  lock_again F && touch_placed && touch_crate_roots && sync_all
}

# Somebody may have put another file there since the last look. It is safe where it is now; but the plan was made for
# another.
check_moved() {
  local i k moved=() index=()
  LOOK=()
  [[ -d $DISPLACED ]] || return 0
  for ((i = 0; i < ${#A_PATH[@]}; i++)); do
    displaces "$i" && [[ ${A_FAR[i]} == 0 ]] || continue
    stored "${A_ROOT[i]}" "${A_PATH[i]}"
    LOOK[${#LOOK[@]}]=./$R index[${#index[@]}]=$i
  done
  ((${#LOOK[@]})) || return 0
  builtin cd -P -- "$DISPLACED" || return 1
  printf '%s\0' "${LOOK[@]}" | xargs -0 stat --printf '%i %s %.9Y\n' -- >"$W/stat" 2>"$W/said" || { failed 'look at' "$DISPLACED"; return 1; }
  k=0
  local line
  while read -r line; do
    i=${index[k]}
    ((k += 1))
    [[ $line == "${SEEN[i]}" ]] && continue
    shown "${A_ROOT[i]}" "${A_PATH[i]}"
    moved[${#moved[@]}]=$R
  done <"$W/stat"
  ((${#moved[@]} == 0)) || changed "${moved[@]}"
}

move_out() {
  local i=$1 to kept=0 stands=0 result
  displaced_of "$i"
  to=$R
  there "$to" && kept=1
  enter_if_there "${A_ROOT[i]}" "${A_PATH[i]}"
  case $? in
  0) there "$NAME" && stands=1 ;;
  2) return 1 ;;
  esac
  case $kept$stands in
  10) return 0 ;;
  00)
    shown "${A_ROOT[i]}" "${A_PATH[i]}"
    changed "$R: is gone"
    return 1
    ;;
  11)
    # A copy across file systems was cut off before the original went; or an action that also makes a directory was
    # done before; anything else is somebody's new file.
    if is_copy_of "$i" "$to"; then
      enter "${A_ROOT[i]}" "${A_PATH[i]}" && rm -f -- "$NAME" 2>"$W/said" || { act_failed remove "$i"; return 1; }
      return 0
    fi
    [[ $X1 == directory && ${F_KIND[i]} == directory ]] && return 0
    shown "${A_ROOT[i]}" "${A_PATH[i]}"
    changed "$R"
    return 1
    ;;
  esac
  make_parents "$to" || return 1
  if [[ ${A_FAR[i]} == 1 ]]; then copy_out "$i" "$to" "${SEEN[i]-}"; return; fi
  rename_new "$NAME" "$to" || act_failed 'move out' "$i"
}
act_failed() {
  dir_of "${A_ROOT[$2]}"
  failed "$1" "$R/${A_PATH[$2]}"
}

remove_directory() { # action; 1 where what appeared in it stays and is named
  local i=$1
  enter_if_there "${A_ROOT[i]}" "${A_PATH[i]}"
  case $? in 1) return 0 ;; 2) return 1 ;; esac
  [[ -d $NAME && ! -L $NAME ]] || return 0
  rmdir -- "$NAME" 2>"$W/said" && return 0
  shown "${A_ROOT[i]}" "${A_PATH[i]}"
  if [[ -n $(find "$NAME" -mindepth 1 -maxdepth 1 -print 2>/dev/null | head -c 1) ]]; then
    if (($2)); then note "$R stays: something appeared in it meanwhile"; return 0; fi
    changed "$R: something appeared in it"
    return 1
  fi
  act_failed remove "$i"
}

create_directory() {
  local i=$1 mode=${F_MODE[$1]:-0755}
  enter "${A_ROOT[i]}" "${A_PATH[i]}" || return 1
  [[ -d $NAME && ! -L $NAME ]] && return 0
  if there "$NAME"; then
    shown "${A_ROOT[i]}" "${A_PATH[i]}"
    changed "$R"
    return 1
  fi
  # Open for its owner until everything in it stands; then it gets its own mode.
  mkdir -m "${mode:0:1}7${mode:2}" -- "$NAME" 2>"$W/said" || act_failed create "$i"
}

place() { # action, whether it was begun before
  local i=$1 staged=$STAGE/$1
  there "$staged" || return 0
  if (($2)); then
    displaced_of "$i"
    if ! displaces "$i" || there "$R"; then
      dir_of "${A_ROOT[i]}"
      look_at "$R" "${A_PATH[i]}" || return 1
      if same_content "$X1" "$X4" "${F_KIND[i]}" "${F_CONT[i]}"; then
        rm -f -- "$staged" 2>"$W/said" || failed remove "$staged"
        return
      fi
    fi
  fi
  displaces "$i" && { move_out "$i" || return 1; }
  enter "${A_ROOT[i]}" "${A_PATH[i]}" || return 1
  if [[ ${A_FAR[i]} == 1 ]]; then
    copy_in "$i" "$staged" "${F_KIND[i]}" "${F_CONT[i]}" "${F_MODE[i]}" ''
  else
    rename_new "$staged" "$NAME"
  fi
  case $? in
  0) ;;
  2)
    shown "${A_ROOT[i]}" "${A_PATH[i]}"
    changed "$R: something appeared there"
    ;;
  *) act_failed 'put in place' "$i" ;;
  esac
}

change_mode() { # action, kind, mode; a directory's mode is set at the end
  [[ $2 == file ]] || return 0
  enter "${A_ROOT[$1]}" "${A_PATH[$1]}" && [[ -f $NAME && ! -L $NAME ]] && chmod "$3" -- "$NAME" 2>"$W/said" ||
    act_failed 'change the mode of' "$1"
}

# Opens the directories that forbid writing.
unlock() {
  local k
  for ((k = 0; k < ${#UNLOCK[@]}; k++)); do open_directory "${UNLOCK_ROOT[k]}" "${UNLOCK[k]}" "${UNLOCK_MODE[k]}" || return 1; done
  return 0
}
open_directory() {
  enter_if_there "$1" "$2"
  case $? in 1) return 0 ;; 2) return 1 ;; esac
  [[ -d $NAME && ! -L $NAME ]] || return 0
  chmod "${3:0:1}7${3:2}" -- "$NAME" 2>"$W/said" && return
  dir_of "$1"
  failed 'change the mode of' "$R/$2"
}
# Gives directories the mode that they are to have, the deepest first; $1 says which side of the actions: B or F.
lock_again() {
  local side=$1 i k r keep kind mode paths modes
  for ((r = 0; r < ${#J_NAME[@]}; r++)); do
    paths=() modes=()
    for ((k = 0; k < ${#UNLOCK[@]}; k++)); do
      [[ ${UNLOCK_ROOT[k]} == "${J_NAME[r]}" ]] || continue
      keep=1
      for ((i = 0; i < ${#A_PATH[@]}; i++)); do
        [[ ${A_ROOT[i]} == "${UNLOCK_ROOT[k]}" && ${A_PATH[i]} == "${UNLOCK[k]}" ]] && keep=0
      done
      ((keep)) && paths[${#paths[@]}]=${UNLOCK[k]} modes[${#modes[@]}]=${UNLOCK_MODE[k]}
    done
    for ((i = 0; i < ${#A_PATH[@]}; i++)); do
      [[ ${A_ROOT[i]} == "${J_NAME[r]}" ]] || continue
      if [[ $side == F ]]; then kind=${F_KIND[i]} mode=${F_MODE[i]}; else kind=${B_KIND[i]} mode=${B_MODE[i]}; fi
      [[ $kind == directory ]] && paths[${#paths[@]}]=${A_PATH[i]} modes[${#modes[@]}]=$mode
    done
    ((${#paths[@]})) || continue
    LOOK=("${paths[@]}")
    look "${J_DIR[r]}" || return 1
    local now=("${T_MODE[@]}") kinds=("${T_KIND[@]}") order=()
    for ((k = 0; k < ${#paths[@]}; k++)); do
      [[ ${kinds[k]} == directory && ${now[k]} != "${modes[k]}" ]] && order[${#order[@]}]="${paths[k]}//$k"
    done
    ((${#order[@]})) || continue
    printf '%s\0' "${order[@]}" | sort -z -r >"$W/sorted"
    read_list "$W/sorted"
    for i in "${LIST[@]}"; do
      k=${i##*//}
      enter "${J_NAME[r]}" "${paths[k]}" && [[ ! -L $NAME ]] && chmod "${modes[k]}" -- "$NAME" 2>"$W/said" ||
        { failed 'change the mode of' "${J_DIR[r]}/${paths[k]}"; return 1; }
    done
  done
  return 0
}

# One process for all files of a directory.
by_directory() { # tool and options, then what it is for; reads GROUP_ROOT and GROUP
  local what=$1 i=0 k names
  shift
  while ((i < ${#GROUP[@]})); do
    enter "${GROUP_ROOT[i]}" "${GROUP[i]}" || return 1
    names=("$NAME")
    for ((k = i + 1; k < ${#GROUP[@]} && k < i + 500; k++)); do
      [[ ${GROUP_ROOT[k]} == "${GROUP_ROOT[i]}" && ${GROUP[k]%/*} == "${GROUP[i]%/*}" && ${GROUP[k]} == */* ]] || break
      names[${#names[@]}]=./${GROUP[k]##*/}
    done
    "$@" -- "${names[@]}" 2>"$W/said" || { dir_of "${GROUP_ROOT[i]}"; failed "$what" "$R/${GROUP[i]}"; return 1; }
    i=$k
  done
}
# What was put in place, and the crate roots that have to be looked at again, get the present as their time; only now:
# a build that ran meanwhile has an older mark than that.
touch_placed() {
  local i
  GROUP_ROOT=() GROUP=()
  for ((i = 0; i < ${#A_PATH[@]}; i++)); do
    places "$i" && [[ ${F_KIND[i]} == file ]] && GROUP_ROOT[${#GROUP_ROOT[@]}]=${A_ROOT[i]} GROUP[${#GROUP[@]}]=${A_PATH[i]}
  done
  by_directory touch touch -h -c -m
}
touch_crate_roots() {
  local k
  for ((k = 0; k < ${#TOUCH[@]}; k++)); do
    enter_if_there "${TOUCH_ROOT[k]}" "${TOUCH[k]}"
    case $? in 1) continue ;; 2) return 1 ;; esac
    touch -h -c -m -- "$NAME" 2>"$W/said" || { dir_of "${TOUCH_ROOT[k]}"; failed touch "$R/${TOUCH[k]}"; return 1; }
  done
  return 0
}

# Running as root keeps the owner of what is replaced; what is new gets its directory's.
keep_owners() {
  local i owner path
  ((EUID == 0)) || return 0
  local dirs_path=() dirs_owner=() k
  local old=() parents=() now=() r index
  for ((r = 0; r < ${#J_NAME[@]}; r++)); do
    index=()
    for ((i = 0; i < ${#A_PATH[@]}; i++)); do
      [[ ${A_ROOT[i]} == "${J_NAME[r]}" ]] || continue
      places "$i" || [[ ${B_KIND[i]} != directory && ${F_KIND[i]} == directory ]] && index[${#index[@]}]=$i
    done
    ((${#index[@]})) || continue
    owners "${J_DIR[r]}" path || return 1
    now=("${OWNERS[@]}")
    owners "${J_DIR[r]}" parent || return 1
    parents=("${OWNERS[@]}")
    old=()
    [[ -d $DISPLACED ]] && { owners "$DISPLACED" stored || return 1; old=("${OWNERS[@]}"); }
    for ((k = 0; k < ${#index[@]}; k++)); do
      i=${index[k]}
      owner=''
      displaces "$i" && owner=${old[k]-}
      if [[ -z $owner ]]; then
        owner=${parents[k]}
        # The directory may be one that was just made, and has got another owner.
        local d
        for ((d = ${#dirs_path[@]} - 1; d >= 0; d--)); do
          [[ ${A_PATH[i]} == "${dirs_path[d]}"/* && ${A_PATH[i]%/*} == "${dirs_path[d]}" ]] && { owner=${dirs_owner[d]}; break; }
        done
      fi
      [[ -n $owner && -n ${now[k]} && $owner != "${now[k]}" ]] || continue
      [[ ${F_KIND[i]} == directory ]] && dirs_path[${#dirs_path[@]}]=${A_PATH[i]} dirs_owner[${#dirs_owner[@]}]=$owner
      enter "${A_ROOT[i]}" "${A_PATH[i]}" && chown -h "$owner" -- "$NAME" 2>"$W/said" || { act_failed 'change the owner of' "$i"; return 1; }
      # Changing the owner clears the set-id bits.
      if [[ ${F_KIND[i]} == file && ${F_MODE[i]} == [2-7]??? ]]; then
        [[ ! -L $NAME ]] && chmod "${F_MODE[i]}" -- "$NAME" 2>"$W/said" || { act_failed 'change the mode of' "$i"; return 1; }
      fi
    done
  done
  return 0
}
# OWNERS of the actions in `index`: of the path, of its directory, or of what is stored of it.
owners() {
  local k i p there=() which=()
  OWNERS=()
  builtin cd -P -- "$1" 2>"$W/said" || { failed 'open directory' "$1"; return 1; }
  for ((k = 0; k < ${#index[@]}; k++)); do
    i=${index[k]} p=./${A_PATH[i]}
    OWNERS[k]=''
    case $2 in parent) p=${p%/*} ;; stored) stored "${A_ROOT[i]}" "${A_PATH[i]}"; p=./$R ;; esac
    there "$p" && there[${#there[@]}]=$p which[${#which[@]}]=$k
  done
  ((${#there[@]})) || return 0
  k=0
  printf '%s\0' "${there[@]}" | xargs -0 stat --printf '%u:%g\n' -- >"$W/stat" 2>"$W/said" || { failed 'look at' "$1"; return 1; }
  while read -r p; do OWNERS[which[k]]=$p; ((k += 1)); done <"$W/stat"
}

sync_all() {
  local r
  for ((r = 0; r < ${#J_NAME[@]}; r++)); do barrier "${J_DIR[r]}" || return 1; done
  barrier "$STORE"
}

verify() {
  local i
  plural ${#A_PATH[@]} change changes
  phase Verifying "$R" 0
  MISMATCHES=() VERIFIED=0
  look_at_targets || return 1
  for ((i = 0; i < ${#A_PATH[@]}; i++)); do
    if [[ ${U_KIND[i]}/${U_MODE[i]}/${U_SIZE[i]}/${U_CONT[i]} == "${F_KIND[i]}/${F_MODE[i]}/${F_SIZE[i]}/${F_CONT[i]}" ]]; then
      ((VERIFIED += 1))
    else
      shown "${A_ROOT[i]}" "${A_PATH[i]}"
      MISMATCHES[${#MISMATCHES[@]}]=$R
    fi
  done
  return 0
}

close() {
  mv -f -T -- "$STORE/rollback/journal" "$STORE/rollback/rollback_$ID.journal" 2>"$W/said" ||
    { failed rename "$STORE/rollback/rollback_$ID.journal"; return 1; }
  ended
}
# Forgets the rollback: the workspace is as it was.
forget() {
  # What was put back left empty directories; a file that is still there is somebody's, and stays.
  builtin cd /
  if [[ -d $DISPLACED ]]; then
    find "$DISPLACED" -depth -type d -empty -delete 2>"$W/said" || { failed clear "$DISPLACED"; return 1; }
  fi
  rm -f -- "$STORE/rollback/journal" 2>"$W/said" || { failed remove "$STORE/rollback/journal"; return 1; }
  ended
}
# Without its journal it has ended, whatever becomes of the rest: the next writer clears that.
ended() {
  builtin cd /
  sync_directory "$STORE/rollback" && set_state idle && remove_tree "$STAGE" && shut_displaced && return 0
  note "$E_TEXT: $E_CAUSE; the next command that writes clears that up"
  return 0
}
# An edit of everything below the workspace is not to reach what an undo needs.
shut_displaced() {
  [[ -d $DISPLACED ]] || return 0
  find "$DISPLACED" -depth -type d ! -perm 0500 -exec chmod 0500 -- {} + 2>"$W/said" || failed 'change the mode of' "$DISPLACED"
}
remove_tree() {
  there "$1" || return 0
  find "$1" -type d ! -perm -0700 -exec chmod u+rwx -- {} + 2>/dev/null
  rm -rf -- "$1" 2>"$W/said" || failed remove "$1"
}

# ---- Across file systems: copies are made beside their place, verified and synced first

copy_out() { # action, to, what was seen
  local i=$1 to=$2 seen=$3 part=$STAGE/part dir content kind ident
  rm -f -- "$part"
  dir_of "${A_ROOT[i]}"
  dir=$R
  look_at "$dir" "${A_PATH[i]}" || return 1
  kind=$X1 content=$X4 ident=$X5
  enter "${A_ROOT[i]}" "${A_PATH[i]}" || return 1
  if [[ $kind == none || -n $seen && $ident != "$seen" ]]; then
    shown "${A_ROOT[i]}" "${A_PATH[i]}"
    changed "$R"
    return 1
  fi
  [[ -d $STAGE ]] || mkdir -m 0700 -- "$STAGE" 2>"$W/said"
  local keep=mode,timestamps
  ((EUID == 0)) && keep+=,ownership
  case $kind in file | symlink) ;; *) printf 'Invalid cross-device link\n' >"$W/said"; act_failed 'copy out' "$i"; return 1 ;; esac
  cp -P --preserve="$keep" -T -- "$NAME" "$part" 2>"$W/said" || { act_failed 'copy out' "$i"; return 1; }
  if [[ $kind == file ]]; then sync -- "$part" 2>"$W/said" || { failed sync "$part"; return 1; }; fi
  look_at "$STAGE" part || return 1
  shown "${A_ROOT[i]}" "${A_PATH[i]}"
  [[ $kind == file && -z $content ]] || same_content "$kind" "$content" "$X1" "$X4" || { fail 3 "$R was copied wrongly"; return 1; }
  look_at "$dir" "${A_PATH[i]}" || return 1
  shown "${A_ROOT[i]}" "${A_PATH[i]}"
  [[ $X5 == "$ident" ]] || { changed "$R"; return 1; }
  mv -f -T -- "$part" "$to" 2>"$W/said" || { failed 'rename into place' "$to"; return 1; }
  sync_directory "${to%/*}" && enter "${A_ROOT[i]}" "${A_PATH[i]}" || return 1
  rm -f -- "$NAME" 2>"$W/said" || act_failed 'copy out' "$i"
}
copy_in() { # action, from, kind, content, mode, owner; stands in the target's directory
  local part=./.backstop-$ID-$1 here=$PWD name=$NAME
  cp -P -T -- "$2" "$part" 2>"$W/said" || return 1
  look_at "$here" "${part#./}" || return 1
  builtin cd -P -- "$here" 2>"$W/said" || return 1
  same_content "$3" "$4" "$X1" "$X4" || { printf 'it was copied wrongly\n' >"$W/said"; return 1; }
  if [[ -n $6 ]]; then chown -h "$6" -- "$part" 2>"$W/said" || return 1; fi
  if [[ $3 == file ]]; then
    chmod "$5" -- "$part" 2>"$W/said" && touch -c -m -- "$part" 2>"$W/said" && sync -- "$part" 2>"$W/said" || return 1
  fi
  rename_new "$part" "$name" || return
  rm -f -- "$2" 2>"$W/said"
}
# After a cut: clears copies across file systems that were under way.
drop_parts() {
  local i dir way
  for ((i = 0; i < ${#A_PATH[@]}; i++)); do
    dir_of "${A_ROOT[i]}"
    dir=$R way=${A_PATH[i]}
    if [[ $way == */* ]]; then way=${way%/*}/.backstop-$ID-$i; else way=.backstop-$ID-$i; fi
    there "$dir/$way" || continue
    enter "${A_ROOT[i]}" "$way" && rm -f -- "$NAME" 2>"$W/said" || { failed clear "$dir/$way"; return 1; }
  done
  return 0
}

# ---- Taking back; may be begun again after a cut

backward() {
  local i n=${#A_PATH[@]}
  plural "$n" change changes
  phase 'Taking back' "$R" "$n"
  SEEN=()
  find_far && unlock || return 1
  for ((i = 0; i < n; i++)); do
    [[ ${F_KIND[i]} == directory && ${F_MODE[i]} != ?[37]?? ]] || continue
    open_directory "${A_ROOT[i]}" "${A_PATH[i]}" "${F_MODE[i]}" || return 1
  done
  drop_parts || return 1
  for ((i = 0; i < n; i++)); do
    [[ ${A_VERB[i]} == mode && ${B_KIND[i]} == file ]] || continue
    dir_of "${A_ROOT[i]}"
    if there "$R/${A_PATH[i]}"; then change_mode "$i" file "${B_MODE[i]}" || return 1
    else shown "${A_ROOT[i]}" "${A_PATH[i]}"; note "$R was removed since"
    fi
  done
  look_at_targets || return 1
  for ((i = 0; i < n; i++)); do places "$i" && { take_back "$i" || return 1; }; done
  for ((i = n - 1; i >= 0; i--)); do
    [[ ${B_KIND[i]} != directory && ${F_KIND[i]} == directory ]] && { remove_directory "$i" 1 || return 1; }
  done
  for ((i = 0; i < n; i++)); do
    [[ ${B_KIND[i]} == directory && ${F_KIND[i]} != directory ]] || continue
    enter "${A_ROOT[i]}" "${A_PATH[i]}" || return 1
    there "$NAME" || mkdir -m 0700 -- "$NAME" 2>"$W/said" || { act_failed create "$i"; return 1; }
    if ((EUID == 0)); then
      local owner
      owner=$(stat -c %u:%g .) && chown -h "$owner" -- "$NAME" 2>"$W/said" || { act_failed 'change the owner of' "$i"; return 1; }
    fi
  done
  for ((i = 0; i < n; i++)); do displaces "$i" && { put_back "$i" || return 1; }; done
  lock_again B && touch_crate_roots && sync_all
}
take_back() {
  local i=$1 staged=$STAGE/$1 kept=0 ours=0 to
  [[ ${U_KIND[i]} == none ]] && return 0
  displaced_of "$i"
  there "$R" && kept=1
  same_content "${U_KIND[i]}" "${U_CONT[i]}" "${F_KIND[i]}" "${F_CONT[i]}" && ours=1
  if there "$staged"; then
    # Not put in place yet, or copied across file systems and not cleared: the copy goes.
    if ((ours)) && { ((kept)) || ! displaces "$i"; }; then
      enter "${A_ROOT[i]}" "${A_PATH[i]}" && rm -f -- "$NAME" 2>"$W/said" || { act_failed 'take back' "$i"; return 1; }
    fi
    return 0
  fi
  # Everything was put back before a cut.
  displaces "$i" && ((!kept)) && return 0
  [[ ${B_KIND[i]} == directory && ${U_KIND[i]} == directory ]] && return 0
  to=$staged
  if ((!ours)); then
    # What somebody wrote after the cut has to make way.
    stored "${A_ROOT[i]}" "${A_PATH[i]}"
    to=$DISPLACED/edited_since/$R
    make_parents "$to" || return 1
    shown "${A_ROOT[i]}" "${A_PATH[i]}"
    local what=$R
    show "$to"
    note "$what was written since; that is kept in $R"
  fi
  [[ -d $STAGE ]] || mkdir -m 0700 -- "$STAGE" 2>"$W/said"
  enter "${A_ROOT[i]}" "${A_PATH[i]}" || return 1
  if [[ ${A_FAR[i]} == 1 ]]; then copy_out "$i" "$to" ''; return; fi
  rename_new "$NAME" "$to" || act_failed 'take back' "$i"
}
put_back() {
  local i=$1 from owner=''
  displaced_of "$i"
  from=$R
  there "$from" || return 0
  dir_of "${A_ROOT[i]}"
  if there "$R/${A_PATH[i]}" && is_copy_of "$i" "$from"; then
    # A copy across file systems was cut off between its end and the removal of what was copied.
    rm -f -- "$from" 2>"$W/said" || failed remove "$from"
    return
  fi
  enter "${A_ROOT[i]}" "${A_PATH[i]}" || return 1
  if [[ ${A_FAR[i]} == 1 ]]; then
    ((EUID == 0)) && owner=$(stat -c %u:%g -- "$from")
    copy_in "$i" "$from" "${B_KIND[i]}" "${B_CONT[i]}" "${B_MODE[i]}" "$owner"
  else
    rename_new "$from" "$NAME"
  fi
  case $? in
  0) ;;
  2)
    shown "${A_ROOT[i]}" "${A_PATH[i]}"
    changed "$R: something appeared there"
    show "$from"
    E_HELP="its old content is in $R"
    return 1
    ;;
  *) act_failed 'put back' "$i"; return 1 ;;
  esac
  [[ ${B_KIND[i]} == file ]] || return 0
  # The present as its time: a build may have looked meanwhile.
  touch -h -c -m -- "$NAME" 2>"$W/said" || act_failed touch "$i"
}

# ---- Undoing the last rollback: planned from its journal, fed by what it displaced

plan_undo() {
  local file id of='' i k r lost=() wk wm ws wc n
  refuse_cut_off && catalogue || return 1
  set +f; shopt -s nullglob
  local all=("$STORE"/rollback/rollback_*.journal)
  shopt -u nullglob; set -f
  for file in "${all[@]}"; do
    id=${file##*/rollback_} id=${id%.journal}
    is_id "$id" && [[ $id > $of ]] && of=$id
  done
  [[ -n $of ]] || { fail 3 'no rollback was made here, so there is none to undo' '`list` shows the restore points'; return 1; }
  read_journal "$STORE/rollback/rollback_$of.journal" && open_transaction && look_at_targets || return 1
  n=${#A_PATH[@]}
  # What was moved out, as it is kept.
  LOOK=()
  for ((i = 0; i < n; i++)); do stored "${A_ROOT[i]}" "${A_PATH[i]}"; LOOK[i]=$R; done
  if [[ -d $DISPLACED ]]; then look "$DISPLACED" || return 1; else T_KIND=(); fi
  local from=$DISPLACED done_root=("${A_ROOT[@]}") done_path=("${A_PATH[@]}") moved=()
  local bk=("${B_KIND[@]}") bm=("${B_MODE[@]}") bs=("${B_SIZE[@]}") bc=("${B_CONT[@]}")
  local names=("${J_NAME[@]}") ways=("${J_WAY[@]}") touch_root=("${TOUCH_ROOT[@]}") touch=("${TOUCH[@]}")
  for ((i = 0; i < n; i++)); do moved[i]=0; displaces "$i" && moved[i]=1; done
  if [[ $PURPOSE == undo ]]; then TARGET_SHOWN="the state before the undo of $TARGET"
  else TARGET_SHOWN="the state before the rollback to $TARGET"
  fi
  PURPOSE=undo TARGET=$of
  reset_plan
  J_NAME=("${names[@]}") J_WAY=("${ways[@]}")
  for ((i = 0; i < n; i++)); do
    wk=${bk[i]} wm=${bm[i]} ws=${bs[i]} wc=${bc[i]}
    shown "${done_root[i]}" "${done_path[i]}"
    if ((moved[i])); then
      if [[ ${T_KIND[i]:-none} == none ]]; then lost[${#lost[@]}]=$R; continue; fi
      if [[ ${T_KIND[i]} == file && $wk == file && -n $wc && ${T_CONT[i]} != "$wc" ]]; then
        lost[${#lost[@]}]="$R: was changed after it was moved out"
        continue
      fi
      wk=${T_KIND[i]} wm=${T_MODE[i]} ws=${T_SIZE[i]} wc=${T_CONT[i]}
    fi
    if [[ ${U_KIND[i]}/${U_MODE[i]}/${U_SIZE[i]}/${U_CONT[i]} == "$wk/$wm/$ws/$wc" && ! ($wk == file && -z $wc) ]]; then
      ((UNCHANGED += 1))
      continue
    fi
    if [[ $wk == special ]]; then L_SHOWN[${#L_SHOWN[@]}]=$R L_WHY[${#L_WHY[@]}]='it is no file'; continue; fi
    if [[ $wk == file && -z $wc ]]; then
      L_SHOWN[${#L_SHOWN[@]}]=$R
      show "$from"
      L_WHY[${#L_WHY[@]}]="it cannot be read: it stays in $R"
      continue
    fi
    action "${done_root[i]}" "${done_path[i]}" "${U_KIND[i]}" "${U_MODE[i]}" "${U_SIZE[i]}" "${U_CONT[i]}" "$wk" "$wm" "$ws" "$wc" ''
    places $((${#A_PATH[@]} - 1)) && A_ORIGIN[${#A_PATH[@]}-1]=displaced
  done
  if ((${#lost[@]})); then
    plural ${#lost[@]} 'file is' 'files are'
    fail 3 "$R gone that rollback $of displaced; nothing was changed" \
      'its restore point of the present may hold them: see `list`, label pre_rollback'
    E_DETAILS=("${lost[@]}")
    return 1
  fi
  keep_occupied
  undo_unlock || return 1
  for ((k = 0; k < ${#touch[@]}; k++)); do
    for ((i = 0; i < ${#A_PATH[@]}; i++)); do
      [[ ${A_PATH[i]} == "${touch[k]}" && ${A_ROOT[i]} == "${touch_root[k]}" ]] && continue 2
    done
    TOUCH_ROOT[${#TOUCH_ROOT[@]}]=${touch_root[k]} TOUCH[${#TOUCH[@]}]=${touch[k]}
  done
  return 0
}
# A directory that the rollback made goes only where everything in it goes.
keep_occupied() {
  local i k keys=() file all key
  for ((i = 0; i < ${#A_PATH[@]}; i++)); do [[ ${F_KIND[i]} == none ]] && keys[${#keys[@]}]=${A_ROOT[i]}//${A_PATH[i]}; done
  ((${#keys[@]})) || return 0
  GOING=("${keys[@]}")
  sort_array GOING
  local kept=()
  for ((i = ${#A_PATH[@]} - 1; i >= 0; i--)); do
    [[ ${A_VERB[i]} == remove_dir ]] || continue
    dir_of "${A_ROOT[i]}"
    builtin cd -P -- "$R/${A_PATH[i]}" 2>/dev/null || continue
    set +f; shopt -s nullglob dotglob
    all=(*)
    shopt -u nullglob dotglob; set -f
    for file in "${all[@]}"; do
      key=${A_ROOT[i]}//${A_PATH[i]}/$file
      if find_in GOING "$key"; then
        for k in "${kept[@]}"; do [[ $k == "$key" ]] && break 2; done
        continue
      fi
      break 1
    done
    # Left over: nothing but what goes.
    local stays=0
    for file in "${all[@]}"; do
      key=${A_ROOT[i]}//${A_PATH[i]}/$file
      find_in GOING "$key" || stays=1
      for k in "${kept[@]}"; do [[ $k == "$key" ]] && stays=1; done
    done
    ((stays)) && kept[${#kept[@]}]=${A_ROOT[i]}//${A_PATH[i]}
  done
  ((${#kept[@]})) || return 0
  local fields=() n=${#A_PATH[@]} o=()
  local ar=("${A_ROOT[@]}") ap=("${A_PATH[@]}") b1=("${B_KIND[@]}") b2=("${B_MODE[@]}") b3=("${B_SIZE[@]}") b4=("${B_CONT[@]}")
  local f1=("${F_KIND[@]}") f2=("${F_MODE[@]}") f3=("${F_SIZE[@]}") f4=("${F_CONT[@]}")
  o=("${A_ORIGIN[@]}")
  A_ROOT=() A_PATH=() A_ORIGIN=() A_VERB=() B_KIND=() B_MODE=() B_SIZE=() B_CONT=() F_KIND=() F_MODE=() F_SIZE=() F_CONT=()
  for ((i = 0; i < n; i++)); do
    if [[ ${f1[i]} == none ]]; then
      for k in "${kept[@]}"; do [[ $k == "${ar[i]}//${ap[i]}" ]] && continue 2; done
    fi
    action "${ar[i]}" "${ap[i]}" "${b1[i]}" "${b2[i]}" "${b3[i]}" "${b4[i]}" "${f1[i]}" "${f2[i]}" "${f3[i]}" "${f4[i]}" "${o[i]}"
  done
}
undo_unlock() {
  local i r k last='' paths
  for ((r = 0; r < ${#J_NAME[@]}; r++)); do
    paths=()
    for ((i = 0; i < ${#A_PATH[@]}; i++)); do
      [[ ${A_ROOT[i]} == "${J_NAME[r]}" && ${A_PATH[i]} == */* ]] || continue
      [[ ${A_PATH[i]%/*} == "$last" ]] && continue
      last=${A_PATH[i]%/*}
      paths[${#paths[@]}]=$last
    done
    ((${#paths[@]})) || continue
    printf '%s\0' "${paths[@]}" | sort -z -u >"$W/sorted"
    read_list "$W/sorted"
    LOOK=("${LIST[@]}")
    look "${J_DIR[r]}" || return 1
    for ((k = 0; k < ${#LOOK[@]}; k++)); do
      [[ ${T_KIND[k]} == directory && ${T_MODE[k]} != ?[37]?? ]] || continue
      UNLOCK_ROOT[${#UNLOCK_ROOT[@]}]=${J_NAME[r]} UNLOCK[${#UNLOCK[@]}]=${LOOK[k]} UNLOCK_MODE[${#UNLOCK_MODE[@]}]=${T_MODE[k]}
    done
  done
  return 0
}

# ---- Carrying out

# Removes what rollbacks that have ended, or never began, left of their work.
mend() {
  local file
  if is_cut_off; then return 0; fi
  [[ $(head -c 16 -- "$STORE/state" 2>/dev/null) == idle ]] || { printf 'idle\n' >"$W/state" && replace_file "$W/state" "$STORE/state" || return 1; }
  set +f; shopt -s nullglob
  local all=("$STORE"/rollback/stage_* "$STORE/.state.new" "$STORE/rollback/.journal.new")
  shopt -u nullglob; set -f
  for file in "${all[@]}"; do remove_tree "$file" || return 1; done
  return 0
}

apply() {
  local i
  refuse_cut_off && mend && catalogue || return 1
  next_id
  PRE_ROLLBACK=''
  instant
  CREATED=$R
  open_log "$ID"
  if [[ $PURPOSE == undo ]]; then log "Undo { of: $TARGET } $TARGET_SHOWN: ${#A_PATH[@]} actions"
  else log "Rollback { to: $TARGET } $TARGET_SHOWN: ${#A_PATH[@]} actions"
  fi
  for ((i = 0; i < ${#L_SHOWN[@]}; i++)); do log "left alone: ${L_SHOWN[i]}: ${L_WHY[i]}"; done
  open_transaction || { log_error; return 1; }
  if ! { begin && prepare; }; then give_up; log_error; return 1; fi
  finish 0 1 || { log_error; return 1; }
  log "result: $VERIFIED changes verified, ${#MISMATCHES[@]} mismatches"
  flush_log
  write_report
}
log_error() {
  local line
  log "error: $E_TEXT"
  for line in "${E_DETAILS[@]}"; do log "error: $line"; done
  [[ -n $E_CAUSE ]] && log "caused by: $E_CAUSE"
  flush_log
}
save_error() { SAVED_CODE=$E_CODE SAVED_TEXT=$E_TEXT SAVED_HELP=$E_HELP SAVED_CAUSE=$E_CAUSE SAVED_DETAILS=("${E_DETAILS[@]}"); }
load_error() { E_CODE=$SAVED_CODE E_TEXT=$SAVED_TEXT E_HELP=$SAVED_HELP E_CAUSE=$SAVED_CAUSE E_DETAILS=("${SAVED_DETAILS[@]}"); }
# Ends a rollback that touched nothing of the workspace.
give_up() {
  ((INTERRUPTED)) && stopped
  save_error
  if ! forget && is_cut_off; then
    local second=$E_TEXT
    cut_off 'the rollback failed before it changed anything, and so did ending it'
    E_DETAILS=("$SAVED_TEXT" "$second") E_CAUSE=$SAVED_CAUSE
    return
  fi
  load_error
}
# Moves, verifies and closes; or takes back. $1: begun before; $2: whether to take back what fails.
finish() {
  forward "$1"
  local result=$?
  if ((result && INTERRUPTED)); then cut_off 'the rollback was stopped between two states'; return 1; fi
  if ((result == 0)); then
    verify && close && return 0
    save_error
    cut_off 'the rollback is done but for its end'
    E_DETAILS=("$SAVED_TEXT") E_CAUSE=$SAVED_CAUSE
    return 1
  fi
  save_error
  if (($2)); then
    if backward && forget; then
      load_error
      E_TEXT+='; everything was put back, and the workspace is as it was'
      [[ -n $E_HELP ]] || E_HELP='mend the cause, then roll back again'
      return 1
    fi
    if ! is_cut_off; then load_error; return 1; fi
    local second=$E_TEXT
    cut_off 'the rollback failed, and so did taking it back'
    E_DETAILS=("$SAVED_TEXT" "$second") E_CAUSE=$SAVED_CAUSE
    return 1
  fi
  cut_off 'the rollback could not be finished'
  E_DETAILS=("$SAVED_TEXT" "${SAVED_DETAILS[@]}") E_CAUSE=$SAVED_CAUSE
  return 1
}

json_list() {
  local item out='' c
  for item in "$@"; do
    item=${item//\\/\\\\}
    item=${item//\"/\\\"}
    out+=${out:+,}$'\n'"    \"$item\""
  done
  if [[ -n $out ]]; then R="[$out"$'\n'"  ]"; else R='[]'; fi
}
# The report repeats what the journal and the log say; a rollback that is done is not failed for it.
write_report() {
  local report=$STORE/rollback/rollback_$ID.json pre=null
  [[ -n $PRE_ROLLBACK ]] && pre="\"$PRE_ROLLBACK\""
  json_list "${MISMATCHES[@]}"
  rm -f -- "$report"
  printf '{\n  "counts": {\n    "created": %d,\n    "directories_created": %d,\n    "directories_removed": %d,\n    "displaced": %d,\n    "left_alone": %d,\n    "mode_changed": %d,\n    "replaced": %d,\n    "unchanged": %d\n  },\n  "format": 1,\n  "id": "%s",\n  "mismatches": %s,\n  "pre_rollback": %s,\n  "purpose": "%s",\n  "target": "%s",\n  "unreadable": [],\n  "verified": %d\n}\n' \
    "$N_CREATED" "$N_MADE" "$N_REMOVED" "$N_DISPLACED" "$N_LEFT" "$N_MODES" "$N_REPLACED" "$UNCHANGED" "$ID" "$R" "$pre" \
    "$PURPOSE" "$TARGET" "$VERIFIED" 2>"$W/said" >"$report" && chmod 0400 -- "$report" ||
    note 'the report was not written'
  return 0
}

# The journal of a rollback that was cut off: 1 where there is none.
open_journal() {
  if ! is_cut_off; then
    mend || die
    return 1
  fi
  if ! read_journal "$STORE/rollback/journal"; then
    E_CODE=4
    show "$STORE/rollback"
    E_HELP="what it moved is in $R/displaced_*; to give the rollback up, move \`$R/journal\` away, then roll back anew"
    die
  fi
  open_log "$ID"
}

# ---- Commands

usage() {
  printf '%s\n' "Brings a workspace back to a restore point, from the store alone." '' \
    "Usage: rollback.sh -t TS|latest [-f] [--dry-run] [--only PATH]… [--keep-new]" \
    "                   [--from auto|session|archive] [--outside] [-v]" \
    "       rollback.sh --undo | --resume | --abort [-f]" '' \
    "  -t, --timestamp TS    goes back to an id, the start of one, or \`latest\`" \
    "      --undo            undoes the last rollback; can itself be undone" \
    "      --resume          finishes a rollback that was cut off" \
    "      --abort           takes back a rollback that was cut off" \
    "  -f, --force           does not ask" \
    "      --dry-run         shows the plan and stops" \
    "      --only PATH       only this path, from the root on; may be repeated" \
    "      --keep-new        leaves in place what was added since" \
    "      --from COPY       takes from: auto, session or archive [default: auto]" \
    "      --outside         writes path dependencies outside the workspace too" \
    "      --no-wait         exit code 5 where another run holds the store" \
    "  -v, --verbose         names each change" \
    "  -q, --quiet           prints errors only" \
    "      --store DIR       the store [env: BACKSTOP_STORE] [default: the one this" \
    "                        lies in]" \
    "      --manifest-path PATH  the workspace's Cargo.toml; it need not exist" '' \
    "Exit codes: 0 done; 1 done, and something else changed files meanwhile; 2 wrong" \
    "command line; 3 could not be done, nothing was changed; 4 a rollback was cut" \
    "off: --resume or --abort; 5 another run holds the store."
}
misused() { fail 2 "$1" "${2-\`--help\` lists the options}"; die; }
choose() {
  [[ -z $MODE ]] || misused "$MODE cannot be used with $1" 'give one of them; `--help` lists the options'
  MODE=$1
}
read_arguments() {
  local word value has
  while (($#)); do
    word=$1 value='' has=0
    shift
    case $word in
    --*=*) value=${word#*=} word=${word%%=*} has=1 ;;
    -[tfvqh]?*)
      if [[ $word == -t* ]]; then value=${word:2} value=${value#=} word=-t has=1
      else set -- "-${word:2}" "$@"; word=${word:0:2}
      fi
      ;;
    esac
    case $word in
    -t | --timestamp | --only | --from | --store | --manifest-path)
      if ((!has)); then
        (($#)) || misused "a value is required for $word"
        value=$1
        shift
      fi
      ;;
    *) ((!has)) || { show "$word"; misused "unexpected value for $R"; } ;;
    esac
    case $word in
    -t | --timestamp) choose --timestamp; WANTED=$value ;;
    --undo | --resume | --abort) choose "$word" ;;
    -f | --force) FORCE=1 ;;
    --dry-run) DRY_RUN=1 ;;
    --only) ONLY[${#ONLY[@]}]=$value ;;
    --keep-new) KEEP_NEW=1 ;;
    --from)
      case $value in auto | session | archive) FROM=$value ;; *) show "$value"; misused "invalid value \`$R\` for --from" 'it takes auto, session or archive' ;; esac
      ;;
    --outside) OUTSIDE=1 ;;
    --no-wait) NO_WAIT=1 ;;
    -v | --verbose) VERBOSE=1 ;;
    -q | --quiet) QUIET=1 ;;
    --store) GIVEN_STORE=$value ;;
    --manifest-path) MANIFEST=$value ;;
    -h | --help) usage; exit 0 ;;
    *) show "$word"; misused "unexpected argument \`$R\`" ;;
    esac
  done
  [[ -n $MODE ]] || misused 'nothing says what to go back to' 'give one of -t TS, --undo, --resume, --abort; `-t latest` is the newest'
  local against=''
  if [[ $MODE != --timestamp ]]; then
    ((${#ONLY[@]})) && against=--only
    ((KEEP_NEW)) && against=--keep-new
    [[ -n $FROM ]] && against=--from
    ((OUTSIDE)) && against=--outside
    ((DRY_RUN)) && [[ $MODE != --undo ]] && against=--dry-run
  fi
  [[ -z $against ]] || misused "$MODE cannot be used with $against" 'give one of them; `--help` lists the options'
  [[ -n $FROM ]] || FROM=auto
}

make_plan() {
  if [[ $MODE == --undo ]]; then plan_undo; else plan_rollback; fi || return 1
  count_actions
}

confirm() {
  local answer='' asked=$SECONDS
  if [[ ! -t 0 ]]; then
    ((QUIET)) || print_plan
    fail 3 'nobody is there to confirm the rollback; nothing was changed' \
      'where the plan (--dry-run shows it) is right, add --force (-f)'
    return 1
  fi
  print_plan
  printf 'Do this? [y/N] ' >&2
  # In turns: a signal that comes right before `read` blocks is looked at only when it returns. bash 3.2 tells a turn
  # that is over from the end of input by the time alone.
  while :; do
    read -r -t 2 answer && break
    (($? > 128)) || ((BASH_VERSINFO[0] < 4 && SECONDS - asked >= 1)) || break
    not_stopped || return 1
    asked=$SECONDS
  done
  case $answer in [yY] | [yY][eE][sS]) return 0 ;; esac
  fail 3 'not confirmed; nothing was changed'
}
# Every action in one field, for a comparison of two plans.
plan_fields() {
  local i
  for ((i = 0; i < ${#A_PATH[@]}; i++)); do
    printf '%s\0' "${A_ROOT[i]}//${A_PATH[i]}//${B_KIND[i]}/${B_MODE[i]}/${B_SIZE[i]}/${B_CONT[i]}/${F_KIND[i]}/${F_MODE[i]}/${F_SIZE[i]}/${F_CONT[i]}/${A_ORIGIN[i]}"
  done | sort -z
}
# What is done is what was shown.
refuse_moved() {
  local line path moved=()
  plan_fields >"$W/now"
  comm -z -3 "$W/shown" "$W/now" >"$W/moved"
  [[ -s $W/moved ]] || return 0
  while read -r -d '' line; do
    line=${line#$'\t'}
    path=${line#*//}
    shown "${line%%//*}" "${path%%//*}"
    [[ ${#moved[@]} -gt 0 && ${moved[${#moved[@]}-1]} == "$R" ]] || moved[${#moved[@]}]=$R
  done <"$W/moved"
  fail 3 'the workspace changed after the plan was shown; nothing was done' 'look at the new plan: run it again'
  E_DETAILS=("${moved[@]}")
  return 1
}

roll_back() {
  if ((FORCE && !DRY_RUN)); then lock || die; fi
  make_plan || die
  if ((DRY_RUN || ${#A_PATH[@]} == 0)); then
    ((QUIET)) || { print_plan; print_plan_end; }
    exit 0
  fi
  if ((LOCKED)); then
    ((QUIET)) || print_plan
  else
    confirm || die
    plan_fields >"$W/shown"
    lock || die
    read_info "$STORE"
    make_plan && refuse_moved || die
  fi
  now_ns
  STARTED=$R
  apply || die
  ((QUIET)) || print_outcome
  ((${#MISMATCHES[@]})) && exit 1
  # An undo that had to leave something where it is, is not the whole undo.
  [[ $PURPOSE == undo && ${#L_SHOWN[@]} -gt 0 ]] && exit 1
  exit 0
}

resume() {
  lock || die
  now_ns
  STARTED=$R
  if ! open_journal; then report 'Nothing to resume: no rollback was cut off.'; exit 0; fi
  open_transaction || die
  SEEN=()
  count_actions
  if ((COMMITTED)); then
    log 'resumed after its commit'
    finish 1 0 || { log_error; die; }
  else
    log 'resumed before its commit'
    if ! prepare; then give_up; log_error; die; fi
    finish 0 1 || { log_error; die; }
  fi
  log 'result: resumed and done'
  flush_log
  write_report
  ((QUIET)) || print_outcome
  ((${#MISMATCHES[@]})) && exit 1
  exit 0
}

abort() {
  lock || die
  if ! open_journal; then report 'Nothing to abort: no rollback was cut off.'; exit 0; fi
  open_transaction || die
  log 'taken back'
  if ! { { ((!COMMITTED)) || backward; } && forget; }; then
    save_error
    cut_off 'the rollback could not be taken back'
    E_DETAILS=("$SAVED_TEXT" "${SAVED_DETAILS[@]}") E_CAUSE=$SAVED_CAUSE
    log_error
    die
  fi
  log 'result: taken back: the workspace is as it was'
  if ((COMMITTED)); then report "Taken back: rollback $ID and its changes;"$'\n''the workspace is as it was before it.'
  else report "Taken back: rollback $ID had changed nothing yet;"$'\n''the workspace is as it was.'
  fi
  exit 0
}

main() {
  read_arguments "$@"
  need_tools
  HERE=$(pwd -P 2>/dev/null; echo .) HERE=${HERE%$'\n'.}
  trap clean_up EXIT
  trap on_signal INT TERM HUP
  local place
  for place in "${TMPDIR:-/tmp}" /tmp "${0%/*}/../cache"; do
    W=$(mktemp -d "$place/backstop-rollback.XXXXXXXX" 2>/dev/null) && canonical "$W" && W=$R && break
    W=''
  done
  [[ -n $W ]] || { fail 3 'failed to make a directory for lists' 'name one that may be written to: TMPDIR=DIR'; die; }
  find_store
  case $MODE in
  --resume) resume ;;
  --abort) abort ;;
  *) roll_back ;;
  esac
}
main "$@"
