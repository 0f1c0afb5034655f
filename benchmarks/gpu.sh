#!/bin/sh
# What a GPU machine is measured for, in one call of some nine minutes:
#     sh benchmarks/gpu.sh FILE256 FILE128 OUT
#
# Parity of lower precisions, `paper` at 256×256 against the common recipe, `physics` and its
# published training, the steady pace, torch.compile. A FILE may be a folder of pictures, which
# is prepared first. A part that meets its limit writes what it has; OUT/log.txt has the rest.
#
# LIMIT=540 seconds of all; SECONDS_STEADY=300, if they are left; WHOLE=4500x50; SIZE256=256 and
# SIZE128=128 of folders; PARTS="precision paper whole physics steady compile", in any
# number of calls; FLAGS of bench_training.py, PYTHON.
set -u
[ $# -eq 3 ] || { echo "usage: sh benchmarks/gpu.sh FILE256 FILE128 OUT" >&2; exit 2; }
[ -e "$1" ] && [ -e "$2" ] || { echo "error: $1 or $2: not there" >&2; exit 2; }
file256=$(realpath "$1") file128=$(realpath "$2") begin=$(date +%s) failed=0
mkdir -p "$3" && out=$(realpath "$3") && cd "$(dirname "$0")/.." || exit 2
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
[ -n "${PYTHON:-}" ] || { PYTHON=.venv/bin/python && [ -x $PYTHON ]; } || PYTHON=python3
scratch=$(mktemp -d) && trap 'rm -rf "$scratch"' EXIT
log=$out/log.txt

left() { echo $((${LIMIT:-540} - $(date +%s) + begin)); }
least() { [ "$1" -lt "$2" ] && echo "$1" || echo "$2"; }
note() { echo "== $(left) s left: $*" | tee -a "$log"; }
part() { # part NAME SECONDS WORDS...: run within so long, if the part is wanted and time is left
    case " ${PARTS:-precision paper whole physics steady compile} " in *" $1 "*) ;; *) return ;; esac
    name=$1 most=$(least "$2" $(($(left) - 5))) && shift 2
    [ "$most" -ge 15 ] || { note "no time for $name" && failed=1 && return; }
    note "$name, $most s"
    timeout -k 5 "$most" "$@" > "$out/$name.txt" 2>&1 || {
        note "$name: status $?: $(tail -n 1 "$out/$name.txt")" && failed=1; }
    cat "$out/$name.txt" >> "$log" && rm -f "$out/$name.txt"
}
bench() { # bench NAME SECONDS WORDS...
    limit=$(least "$2" $(($(left) - 5))) name=$1 most=$2 && shift 2
    # shellcheck disable=SC2086
    part "$name" "$most" "$PYTHON" benchmarks/bench_training.py "$@" -o "$out/$name" \
        --limit "$(awk "BEGIN { print ($limit > 24 ? $limit - 12 : 12) / 60 }")" ${FLAGS:-}
}
prepared() { # prepared PATH SIZE CHANNELS: the file, or one made of a folder's pictures
    [ -d "$1" ] || { echo "$1" && return; }
    "$PYTHON" -m phasegan prepare "$1" --size "$2" --channels "$3" -o "$scratch/$2$3.h5" \
        >> "$log" 2>&1 && echo "$scratch/$2$3.h5"
}

note "$("$PYTHON" -c 'import torch as t; print(t.__version__, *map(t.cuda.get_device_name,
    range(t.cuda.device_count())))' 2>&1 | tail -n 1), $(nproc) cores"
file256=$(prepared "$file256" "${SIZE256:-256}" rgb) file128=$(prepared "$file128" "${SIZE128:-128}" gray)
part precision 60 "$PYTHON" -m pytest -q -p no:cacheprovider tests/training/test_precision.py
bench paper 170 "$file256" --rounds 2 --seconds 1.5
bench whole 220 "$file128" --preset physics --modes base --rounds 1 --whole "${WHOLE:-4500x50}"
bench physics 80 "$file128" --preset physics --rounds 2 --seconds 1
steady=$(least "${SECONDS_STEADY:-300}" $(($(left) - 40)))
[ "$steady" -lt 5 ] || bench steady $((steady + 40)) "$file256" --rounds 1 --seconds 1.5 \
    --modes reference,batch-8,all,all-best --batches 8 --steady "$(awk "BEGIN { print $steady / 60 }")"
bench compile 180 "$file256" --rounds 2 --seconds 1.5 --compile \
    --modes reference,base,all,compile,reduce-overhead,all-compile
cat "$out"/*/table.md > "$out/tables.md" 2> /dev/null && rm -f "$out"/*/table.md
note "results in $out" && exit "$failed"
