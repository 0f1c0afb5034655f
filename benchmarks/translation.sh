#!/bin/sh
# The translations that docs/translation.md tabulates, trained and scored:
#     sh benchmarks/translation.sh DATA OUT
#
# DATA holds sunflower2daisy, photo2monet and photo2hayao, each with trainA, trainB, testA and
# testB. OUT gets the runs, with their galleries, and the scores as JSON and text. A second call
# goes on where the first was stopped.
#
# SIZE=64; FLAGS of phasegan train, such as "--variant full --threads 2"; PARTS="pairs options";
# SEEDS="0 1" of the options; PHASEGAN, the command.
set -eu
[ $# -eq 2 ] || { echo "usage: sh benchmarks/translation.sh DATA OUT" >&2; exit 2; }
data=$1 out=$2 size=${SIZE:-64} run=${PHASEGAN:-phasegan}
mkdir -p "$out"

learn() { # learn NAME PAIR OPTIONS...
    name=$1 pair=$2 && shift 2
    # shellcheck disable=SC2086
    $run train "$data/$pair" -o "$out/$name" --resume --size "$size" ${FLAGS:-} "$@"
}
rate() { # rate NAME PAIR RUN...
    name=$1 pair=$2 && shift 2
    arguments=
    for each in "$@"; do arguments="$arguments --run $out/$each"; done
    # shellcheck disable=SC2086
    $run evaluate "$data/$pair" $arguments --json "$out/$name.json" | tee "$out/$name.txt"
}

case " ${PARTS:-pairs options} " in *" pairs "*)
    for row in "sunflower2daisy 10" "photo2monet 22" "photo2hayao 22"; do
        # shellcheck disable=SC2086
        set -- $row
        learn "$1-identity" "$1" --epochs "$2"
        learn "$1-without" "$1" --epochs "$2" --identity 0
        rate "$1" "$1" "$1-identity" "$1-without"
    done ;;
esac
case " ${PARTS:-pairs options} " in *" options "*)
    pair=sunflower2daisy
    for seed in ${SEEDS:-0 1}; do
        some="--epochs 4 --upsampling transposed --seed $seed"
        few="--epochs 40 --samples 50 --upsampling transposed --seed $seed"
        # shellcheck disable=SC2086
        {
            learn "plain-$seed" $pair $some
            learn "average-$seed" $pair $some --average 0.999
            learn "spectral-norm-$seed" $pair $some --spectral-norm
            learn "resize-$seed" $pair $some --upsampling resize
            learn "resnet-$seed" $pair $some --generator resnet
            learn "few-$seed" $pair $few
            learn "few-augment-$seed" $pair $few --augment colour,shift,cutout
        }
        rate "options-$seed" $pair "plain-$seed" "average-$seed" "spectral-norm-$seed" \
            "resize-$seed" "resnet-$seed" "few-$seed" "few-augment-$seed"
    done ;;
esac
