#!/bin/sh
# What a GPU machine is tested and measured for, each call in some nine minutes:
#     PARTS="precision paths pictures loading" sh benchmarks/gpu.sh FILE256 FILE128 OUT
#     PARTS="paper whole physics" sh benchmarks/gpu.sh FILE256 FILE128 OUT
#     PARTS="steady compile" sh benchmarks/gpu.sh FILE256 FILE128 OUT
#
# Parity of lower precisions; the tests of every path that CUDA alone takes, on the GPU; training
# between two domains of JPEGs by the number of workers, and loading alone; `paper` at 256×256
# against the common recipe; `physics` and its published training; the steady pace;
# torch.compile. A FILE may be a folder of pictures, which is prepared first, or - where no part
# needs it. A part that meets its limit writes what it has; OUT/log.txt has the rest.
#
# Without PARTS all run in this order, as far as LIMIT=540 seconds go. SECONDS_STEADY=300, if they
# are left; WHOLE=4500x50; SIZE256=256 and SIZE128=128 of folders; PAIR, a folder with trainA and
# trainB, by default crops of scikit-image's photographs; FLAGS of bench_training.py,
# FLAGS_PICTURES of bench_pictures.py, FLAGS_LOADING of bench_loading.py, FLAGS_PATHS of pytest;
# PYTHON.
set -u
[ $# -eq 3 ] || { echo "usage: sh benchmarks/gpu.sh FILE256 FILE128 OUT" >&2; exit 2; }
for file in "$1" "$2" ${PAIR:+"$PAIR"}; do
    [ "$file" = - ] || [ -e "$file" ] || { echo "error: $file: not there" >&2; exit 2; }
done
place() { [ "$1" = - ] && echo - || realpath "$1"; }
file256=$(place "$1") file128=$(place "$2") pair=${PAIR:+$(realpath "$PAIR")}
begin=$(date +%s) failed=0
mkdir -p "$3" && out=$(realpath "$3") && cd "$(dirname "$0")/.." || exit 2
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
[ -n "${PYTHON:-}" ] || { PYTHON=.venv/bin/python && [ -x $PYTHON ]; } || PYTHON=python3
scratch=$(mktemp -d) && trap 'rm -rf "$scratch"' EXIT
log=$out/log.txt

left() { echo $((${LIMIT:-540} - $(date +%s) + begin)); }
least() { [ "$1" -lt "$2" ] && echo "$1" || echo "$2"; }
note() { echo "== $(left) s left: $*" | tee -a "$log"; }
wanted() { # wanted NAME: whether the part is one of PARTS
    case " ${PARTS:-precision paths pictures loading paper whole physics steady compile} " in
        *" $1 "*) return 0 ;; *) return 1 ;; esac
}
part() { # part NAME SECONDS WORDS...: run within so long, if the part is wanted and time is left
    wanted "$1" || return 0
    name=$1 most=$(least "$2" $(($(left) - 5))) && shift 2
    [ "$most" -ge 15 ] || { note "no time for $name" && failed=1 && return; }
    note "$name, $most s"
    timeout -k 5 "$most" "$@" > "$out/$name.txt" 2>&1 || {
        note "$name: status $?: $(tail -n 1 "$out/$name.txt")" && failed=1; }
    cat "$out/$name.txt" >> "$log" && rm -f "$out/$name.txt"
}
bench() { # bench NAME SECONDS WORDS...
    # shellcheck disable=SC2086
    measure bench_training.py "$@" ${FLAGS:-}
}
measure() { # measure SCRIPT NAME SECONDS WORDS...: a benchmark that begins nothing when it is late
    limit=$(least "$3" $(($(left) - 5))) script=$1 name=$2 most=$3 && shift 3
    part "$name" "$most" "$PYTHON" "benchmarks/$script" "$@" -o "$out/$name" \
        --limit "$(awk "BEGIN { print ($limit > 24 ? $limit - 12 : 12) / 60 }")"
}
prepared() { # prepared PATH SIZE CHANNELS: the file, or one made of a folder's pictures
    [ -d "$1" ] || { echo "$1" && return; }
    wanted paper || wanted whole || wanted physics || wanted steady || wanted compile || return 0
    "$PYTHON" -m phasegan prepare "$1" --size "$2" --channels "$3" -o "$scratch/$2$3.h5" \
        >> "$log" 2>&1 && echo "$scratch/$2$3.h5"
}

note "$("$PYTHON" -c 'import torch as t; print(t.__version__, *map(t.cuda.get_device_name,
    range(t.cuda.device_count())))' 2>&1 | tail -n 1), $(nproc) cores"
file256=$(prepared "$file256" "${SIZE256:-256}" rgb) file128=$(prepared "$file128" "${SIZE128:-128}" gray)
part precision 60 "$PYTHON" -m pytest -q -p no:cacheprovider tests/training/test_precision.py
# shellcheck disable=SC2086
part paths 150 env CUBLAS_WORKSPACE_CONFIG=:4096:8 "$PYTHON" -m pytest -v -p no:cacheprovider \
    tests/training/test_cuda_paths.py tests/test_cuda_results.py ${FLAGS_PATHS:-}
# shellcheck disable=SC2086
measure bench_pictures.py pictures 120 ${pair:+"$pair"} --seconds 4 ${FLAGS_PICTURES:-}
# shellcheck disable=SC2086
[ ! -e benchmarks/bench_loading.py ] || part loading 100 "$PYTHON" benchmarks/bench_loading.py \
    ${pair:+"$pair"} --parts reading --rounds 2 --seconds 0.5 ${FLAGS_LOADING:-} -o "$out/loading"
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
